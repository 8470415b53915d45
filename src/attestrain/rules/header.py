"""Block headers: what a block's hash commits to, as far as a verdict needs it (Yellow Paper, section 4.3).

EIPs 1559, 4895, 4844, 4788 and 7685 added fields at the end, and later ones may add more.
"""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.errors import FormatError
from attestrain.record.digest import Digest
from attestrain.record.eip712 import keccak256
from attestrain.rules.rlp import Item, decode_list, integer

MAX_HEADER = 2048
"""Largest header in bytes: today's have about 650."""
LEAST_FIELDS = 15
"""Fields of the first headers; every later kind has these, in these places."""
STATE_ROOT, NUMBER, TIMESTAMP = 3, 8, 11
"""Places of the fields that are read."""


@dataclass(frozen=True, slots=True)
class Header:
    """A block's header: its hash, its number, its time (seconds since 1970) and the root of the state after it."""

    hash: Digest
    number: int
    timestamp: int
    state_root: Digest


def read_header(data: bytes) -> Header:
    """Read a header from its RLP. That it belongs to any chain follows only from its hash.

    Raises:
        FormatError: malformed.
    """
    if len(data) > MAX_HEADER:
        raise FormatError(f"header of {len(data)} bytes is larger than {MAX_HEADER}")
    fields = decode_list(data)
    if len(fields) < LEAST_FIELDS:
        raise FormatError(f"header has {len(fields)} fields, fewer than {LEAST_FIELDS}")
    number, timestamp = integer(fields[NUMBER], 8), integer(fields[TIMESTAMP], 8)
    return Header(Digest(keccak256(data)), number, timestamp, _root(fields[STATE_ROOT]))


def _root(item: Item) -> Digest:
    if not isinstance(item, bytes) or len(item) != 32:
        raise FormatError("header has no state root")
    return Digest(item)
