"""The accumulator of the RunLedger contract: one word that commits to everything a run's sequencer told the chain.

The contract hashes each event into it; whoever has the transcript computes it again and holds it against one storage
slot (spec/contracts.md). Words are 32 bytes, as abi.encode writes them.
"""

from __future__ import annotations

from attestrain.record.digest import Digest
from attestrain.record.eip712 import address_bytes, keccak256
from attestrain.record.names import Address, RunId

DOMAIN = keccak256(b"attestrain.dev/run-ledger@v1")


def word(value: int) -> bytes:
    """An unsigned integer as a word."""
    return value.to_bytes(32, "big")


def opened(run: RunId, sequencer: Address) -> Digest:
    """The accumulator of a run that ``sequencer`` has just opened."""
    return Digest(keccak256(DOMAIN + run + address_bytes(sequencer).rjust(32, b"\x00")))


def captured(before: Digest, height: int, value: Digest) -> Digest:
    """After the hash ``value`` of block ``height`` was captured."""
    return Digest(keccak256(before + word(height) + value))


def anchored(before: Digest, epoch: int, root: Digest, size: int, checkpoint: Digest) -> Digest:
    """After an anchor: the log's first ``size`` entries under ``root``, and a checkpoint."""
    return Digest(keccak256(before + word(epoch) + root + word(size) + checkpoint))
