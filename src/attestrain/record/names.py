"""Named types for the quantities that enter a hash or a payment, with their EIP-712 types.

A statement's fields are declared with these names; `SOLIDITY` is the single place that says how each is signed.
"""

from __future__ import annotations

from typing import NewType

from attestrain.record.digest import Digest

RunId = NewType("RunId", Digest)
"""SHA-256 of the run spec's canonical bytes."""
Branch = NewType("Branch", int)
"""Line of history within a run; a rollback opens the next one."""
Round = NewType("Round", int)
"""Outer step, counted from 0 within the run."""
Worker = NewType("Worker", int)
"""Slot of a worker in the run, 0 .. workers-1. Auditors are numbered the same way among themselves."""
KeyEpoch = NewType("KeyEpoch", int)
"""Life of one session key, counted from 0 per participant."""
Index = NewType("Index", int)
"""Position in the transcript."""
Size = NewType("Size", int)
"""Number of bytes."""
Tokens = NewType("Tokens", int)
"""Number of tokens a loss was computed over."""
Address = NewType("Address", str)
"""EVM account: 0x and 40 lower-case hexadecimal digits."""
Text = NewType("Text", str)
"""Short ASCII text."""

MAX_TEXT = 256
"""Longest text in a statement: names and reasons, not prose."""

SOLIDITY: dict[str, str] = {
    "RunId": "bytes32",
    "Digest": "bytes32",
    "Branch": "uint32",
    "Round": "uint32",
    "Worker": "uint32",
    "KeyEpoch": "uint32",
    "Index": "uint64",
    "Size": "uint64",
    "Tokens": "uint64",
    "Address": "address",
    "Text": "string",
}
"""EIP-712 type of every quantity."""
