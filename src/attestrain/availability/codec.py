"""The erasure code at the speed of the machine: isa-l through liberasurecode and pyeclib, a stripe at a time.

liberasurecode hands out fragments with a header of 80 bytes. Shards here are bare: a header says nothing about a
fragment but its place and sizes, so those of an encoded stripe of zeros serve for decoding every other one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from attestrain.errors import FormatError, UsageError
from attestrain.record.digest import Buffer
from attestrain.record.shape import MAX_SHARDS

ENGINE = "isa_l_rs_cauchy"
HEADER = 80
"""Bytes of a fragment's header (liberasurecode's erasurecode.h)."""
GRAIN = 16
"""Cells are filled up to a multiple of this while they are coded, so that the library adds nothing of its own."""


def require_codec() -> None:
    """Check that the codec is installed.

    Raises:
        UsageError: it is not.
    """
    if find_spec("pyeclib") is None:
        raise UsageError("erasure coding needs pyeclib", hint='on Linux: pip install "attestrain[availability]"')


@lru_cache(maxsize=8)
def _driver(data: int, parity: int) -> Any:
    require_codec()
    from pyeclib.ec_iface import ECDriver

    if data + parity > MAX_SHARDS:
        raise FormatError(f"the codec goes to {MAX_SHARDS} shards")
    return ECDriver(k=data, m=parity, ec_type=ENGINE, chksum_type="none")


def encode(cells: Sequence[Buffer], parity: int, width: int) -> list[memoryview]:
    """Parity cells of a stripe, each of ``width`` bytes.

    Args:
        cells: the stripe's data cells, at most ``width`` bytes each; they count as filled up with zeros.
        parity: how many parity cells.
        width: bytes of the first cell.
    """
    return encode_joined(_join(cells, width), len(cells), parity, width)


def encode_joined(stripe: bytes, data: int, parity: int, width: int) -> list[memoryview]:
    """The same from cells that lie side by side already, each filled up to `padded` bytes."""
    fragments = _driver(data, parity).encode(stripe)[data:]
    return [memoryview(fragment)[HEADER : HEADER + width] for fragment in fragments]


def decode(known: Mapping[int, Buffer], data: int, parity: int, width: int) -> list[memoryview]:
    """Data cells of a stripe from the cells of any ``data`` shards, each filled up with zeros to ``width`` bytes."""
    headers = _headers(data, parity, padded(width))
    fragments = [headers[shard] + _fill(cell, padded(width)) for shard, cell in known.items()]
    whole = memoryview(_driver(data, parity).decode(fragments))
    return [whole[at : at + width] for at in range(0, len(whole), padded(width))]


def padded(width: int) -> int:
    """Bytes of a cell while it is coded."""
    return -(-width // GRAIN) * GRAIN


def _join(cells: Sequence[Buffer], width: int) -> bytes:
    return b"".join(_fill(cell, padded(width)) for cell in cells)


def _fill(cell: Buffer, size: int) -> bytes:
    return bytes(cell).ljust(size, b"\0")


@lru_cache(maxsize=32)
def _headers(data: int, parity: int, size: int) -> list[bytes]:
    return [fragment[:HEADER] for fragment in _driver(data, parity).encode(bytes(data * size))]
