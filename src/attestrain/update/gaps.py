"""Positions of the ones in a bit plane as run lengths of zeros in a Rice code.

Unary and remainder parts are two streams instead of one, so whole arrays are coded and decoded at once. With parameter
0 there are no remainders and the unary stream is the plane itself without its last zeros.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from attestrain.errors import FormatError
from attestrain.update.arrays import Int64s
from attestrain.update.bits import Reader, pack_bits

MAX_PARAMETER: Final = 15
"""Largest Rice parameter: remainders fit 16 bits, and sparser planes than one in 2^15 cost next to nothing."""

_HEAD = struct.Struct("<BQQ")
"""Parameter, number of ones, bits of the unary stream."""


def write_positions(positions: Int64s) -> bytes:
    """Code strictly ascending positions."""
    gaps = _gaps(positions)
    parameter = best_parameter(gaps)
    # With parameter 0 the unary stream is the plane itself.
    ends = np.cumsum((gaps >> parameter) + 1, dtype=np.int64) if parameter else positions + 1
    size = int(ends[-1]) if len(ends) else 0
    unary = np.zeros(size, dtype=np.uint8)
    unary[ends - 1] = 1
    if not parameter:
        return _HEAD.pack(parameter, len(gaps), size) + pack_bits(unary)
    low = (gaps & ((1 << parameter) - 1)).astype(np.uint16)
    places = np.arange(parameter - 1, -1, -1, dtype=np.uint16)
    remainders = ((low[:, np.newaxis] >> places) & 1).astype(np.uint8)
    return _HEAD.pack(parameter, len(gaps), size) + pack_bits(unary) + pack_bits(remainders.reshape(-1))


def read_positions(reader: Reader, size: int) -> Int64s:
    """Read the positions of the ones in a plane of ``size`` bits.

    Memory is bounded by ``size`` whatever the bytes say.

    Raises:
        FormatError: malformed, out of the plane, or not in canonical form.
    """
    parameter, count, unary_bits = _HEAD.unpack(reader.take(_HEAD.size))
    if parameter > MAX_PARAMETER or count > size or unary_bits > size:
        raise FormatError("update has a bit plane out of bounds")
    ends = np.flatnonzero(reader.take_bits(unary_bits).view(np.bool_))
    if len(ends) != count or unary_bits != (int(ends[-1]) + 1 if count else 0):
        raise FormatError("update has a unary stream that does not match its counts")
    positions = _with_remainders(ends, parameter, reader)
    if count and int(positions[-1]) >= size:
        raise FormatError("update has a one beyond the end of its bit plane")
    if parameter != best_parameter(_gaps(positions)):
        raise FormatError("update has a Rice parameter that is not the best one")
    return positions


def best_parameter(gaps: Int64s) -> int:
    """Smallest parameter in 0 .. ``MAX_PARAMETER`` with the fewest bits in all.

    One more bit of remainder costs a bit a gap and saves half the unary zeros, rounded up per gap: ever less. So the
    number of bits falls and then rises, and the first parameter that its successor does not beat is the one.
    """
    zeros = int(gaps.sum(dtype=np.int64))
    for parameter in range(MAX_PARAMETER):
        fewer = int((gaps >> (parameter + 1)).sum(dtype=np.int64))
        if fewer + len(gaps) >= zeros:
            return parameter
        zeros = fewer
    return MAX_PARAMETER


def _gaps(positions: Int64s) -> Int64s:
    """Zeros before each one."""
    gaps = positions.copy()  # several times faster than diff with a value in front
    gaps[1:] -= positions[:-1]
    gaps[1:] -= 1
    return gaps


def _with_remainders(ends: Int64s, parameter: int, reader: Reader) -> Int64s:
    if parameter == 0:
        return ends
    bits = reader.take_bits(parameter * len(ends)).reshape(-1, parameter)
    gaps = _gaps(ends)
    for place in range(parameter):
        gaps = (gaps << 1) | bits[:, place]
    return np.cumsum(gaps + 1, dtype=np.int64) - 1
