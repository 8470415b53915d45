"""Positions of the ones in a bit plane as run lengths of zeros in a Rice code.

Unary and remainder parts are two streams instead of one, so whole arrays are coded and decoded at once. With parameter
0 there are no remainders and the unary stream is the plane itself without its last zeros.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from attestrain.errors import FormatError
from attestrain.update.arrays import Int64s
from attestrain.update.bits import Reader, pack_bits
from attestrain.update.planes import Plane, odd_gaps
from attestrain.update.unfold import unfold

MAX_PARAMETER: Final = 15
"""Largest Rice parameter: remainders fit 16 bits, and sparser planes than one in 2^15 cost next to nothing."""

_BEYOND: Final = "update has a one beyond the end of its bit plane"
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
    return _positions(reader, _read_unary(reader, size), size)


def read_plane(reader: Reader, size: int) -> Plane:
    """Read the plane itself; as `read_positions`, without positions where a good part of the bits are ones."""
    unary = _read_unary(reader, size)
    if unary.parameter > 1:
        plane = np.zeros(size, dtype=np.bool_)
        plane[_positions(reader, unary, size)] = True
        return Plane.of_bools(plane)
    if unary.parameter == 0:
        _require_best(_fewer_bits(unary) >= unary.zeros)
        return Plane.of(unary.packed, size)
    remainders = Plane.of(reader.take_packed(unary.count), unary.count)
    zeros = 2 * unary.zeros + remainders.ones
    if zeros + unary.count > size:
        raise FormatError(_BEYOND)
    _require_best(zeros > unary.zeros + unary.count and _fewer_bits(unary) >= unary.zeros)
    return Plane.of(unfold(Plane.of(unary.packed, unary.bits), remainders), size)


@dataclass(frozen=True, slots=True, eq=False)
class _Unary:
    """The head of a coded plane and its unary stream, which has ``count`` ones and ends with one."""

    parameter: int
    count: int
    bits: int
    packed: NDArray[np.uint8]

    @property
    def zeros(self) -> int:
        return self.bits - self.count


def _read_unary(reader: Reader, size: int) -> _Unary:
    parameter, count, bits = _HEAD.unpack(reader.take(_HEAD.size))
    if parameter > MAX_PARAMETER or count > size or bits > size:
        raise FormatError("update has a bit plane out of bounds")
    packed = np.frombuffer(reader.take_packed(bits), dtype=np.uint8)
    ones = int(np.bitwise_count(packed).sum(dtype=np.int64))
    ends_with_one = bool(bits) and bool(packed[-1] & (0x80 >> (bits - 1) % 8))
    if ones != count or (bool(bits) and not ends_with_one):
        raise FormatError("update has a unary stream that does not match its counts")
    return _Unary(parameter, count, bits, packed)


def _fewer_bits(unary: _Unary) -> int:
    """Bits that the next parameter would take, without the remainders that this one has already.

    Of every gap's unary zeros, half would be left, rounded down, and each gap would have another bit.
    """
    odd = min(unary.zeros, unary.count)  # at most: what that says suffices for planes of many ones
    if (unary.zeros - odd) // 2 + unary.count < unary.zeros:
        odd = odd_gaps(unary.packed)
    return (unary.zeros - odd) // 2 + unary.count


def _require_best(holds: bool) -> None:
    if not holds:
        raise FormatError("update has a Rice parameter that is not the best one")


def _positions(reader: Reader, unary: _Unary, size: int) -> Int64s:
    """Of one i, at e in the unary stream and with remainders r: 2^k e - (2^k - 1) i + the sum of r up to its own."""
    positions = np.flatnonzero(np.unpackbits(unary.packed).view(np.bool_))
    parameter, zeros = unary.parameter, unary.zeros
    if parameter:
        remainders = _remainders(reader, unary.count, parameter)
        most = (1 << parameter) - 1
        halves = int(np.count_nonzero(remainders > most >> 1))
        _require_best(2 * zeros + halves > zeros + unary.count)
        positions <<= parameter
        sums = remainders.astype(np.int64)  # summed as they are: a cast on the way takes ten times as long
        sums -= most
        positions += np.cumsum(sums, dtype=np.int64, out=sums)
        positions += most
    if unary.count and int(positions[-1]) >= size:
        raise FormatError(_BEYOND)
    _require_best(parameter == MAX_PARAMETER or _fewer_bits(unary) >= zeros)
    return positions


def _remainders(reader: Reader, count: int, parameter: int) -> NDArray[np.uint16]:
    bits = reader.take_bits(parameter * count).reshape(-1, parameter)
    remainders = bits[:, 0].astype(np.uint16)
    for place in range(1, parameter):
        remainders <<= 1
        remainders |= bits[:, place]
    return remainders


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
