"""Chunked top-k codec: the largest values of every chunk as a sign and one of one or two magnitudes.

SparseLoCo's selection and its two bits a value (arXiv 2508.15706). Magnitudes are shared by the chunks of a group:
scales for each chunk would cost a twentieth of the whole update. Positions are run lengths in a Rice code.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from attestrain.errors import FormatError
from attestrain.record.layout import Layout
from attestrain.record.spec import Codec
from attestrain.update.arrays import NOTHING, Adder, Bools, Float32s, Float64s, Int64s, Summand, add_times, chunks
from attestrain.update.bits import Reader, pack_bits
from attestrain.update.blocks import Blocks, blocks_of
from attestrain.update.gaps import read_positions, write_positions
from attestrain.update.quantised import UNIT_BITS
from attestrain.update.scales import SCALE_SIZE, Scales, mean_scales
from attestrain.update.scratch import Scratch

GROUP: Final = 16
"""Chunks that share their magnitudes: four bytes for 65,536 values at the usual chunk of 4096."""
PIECE: Final = 1 << 16
"""Sums that are added to at a time: few enough to stay in the cache, and the chosen values among them are few."""
TURNS: Final = 3
"""Times that the border between the two magnitudes moves to the middle of their means (Lloyd 1982)."""


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Values of a flat buffer that are not zero, by place: ascending positions and the group of each."""

    groups: Blocks
    positions: Int64s

    @property
    def owners(self) -> Int64s:
        """Group of every position."""
        return np.repeat(np.arange(self.groups.count), self.counts)

    @property
    def counts(self) -> Int64s:
        """Positions of each group."""
        return counts_of(self.groups, self.positions)

    def of_levels(self, large: Bools, levels: int) -> tuple[Int64s, ...]:
        """Values of each of one or two levels in each group, ``large`` saying which have the second."""
        if levels == 1:
            return (self.counts,)
        many = self.total(large)
        return self.counts - many, many

    def total(self, integers: Int64s | Bools) -> Int64s:
        """Sum of the integers, or count of the trues, of each group; zero where nothing was chosen."""
        sums = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(integers, dtype=np.int64)])
        ends = np.searchsorted(self.positions, self.groups.starts + self.groups.lengths)
        totals: Int64s = sums[ends] - sums[np.searchsorted(self.positions, self.groups.starts)]
        return totals


@dataclass(frozen=True, slots=True, eq=False)
class TopK:
    """An update as places, signs and magnitudes.

    ``large`` says which of the two scales a value has; it is empty with one level. A group's scale is zero exactly
    where none of its values has it, the small one is never unused where the large one is used, and is smaller.
    """

    chosen: Chosen
    negative: Bools
    large: Bools
    scales: tuple[Scales, ...]

    @classmethod
    def quantise(cls, codec: Codec, layout: Layout, values: Float32s, memory: Float32s = NOTHING) -> TopK:
        """Choose places by size, then by position; magnitudes by integers alone."""
        chosen = Chosen(blocks_of(layout, GROUP * codec.block), _largest(codec, layout, values))
        kept = values[chosen.positions]
        integers, units = _integers(chosen, np.abs(kept))
        large = _border(chosen, integers) if codec.settings["levels"] == "2" else np.zeros(len(kept), dtype=np.bool_)
        # Two magnitudes only where rounding leaves them two.
        large &= _ordered(*_scales(chosen, integers, units, large))[chosen.owners]
        scales = _scales(chosen, integers, units, large)
        stays = large | (scales[0].mantissas > 0)[chosen.owners]  # too small for any scale: left to the feedback
        levels, left = int(codec.settings["levels"]), Chosen(chosen.groups, chosen.positions[stays])
        return cls(left, kept[stays] < 0, large[stays] if levels == 2 else large[:0], scales[:levels])

    def to_bytes(self) -> bytes:
        """Scales of each level, positions, signs (1 is negative); with two levels, which values are large."""
        scales = b"".join(level.to_bytes() for level in self.scales)
        large = write_positions(np.flatnonzero(self.large)) if len(self.scales) == 2 else b""
        return scales + write_positions(self.chosen.positions) + pack_bits(self.negative) + large

    @classmethod
    def from_bytes(cls, codec: Codec, layout: Layout, body: memoryview) -> TopK:
        """Read strictly: one byte string for each update.

        Raises:
            FormatError: malformed, out of bounds, more values in a chunk than the run keeps, or not canonical.
        """
        groups, levels = blocks_of(layout, GROUP * codec.block), int(codec.settings["levels"])
        reader = Reader(body)
        scales = tuple(Scales.from_bytes(reader.take(SCALE_SIZE * groups.count)) for _ in range(levels))
        chosen = Chosen(groups, read_positions(reader, groups.parameters))
        _require_few(codec, layout, chosen.positions)
        negative = reader.take_bits(len(chosen.positions)).view(np.bool_)
        large = np.zeros(len(chosen.positions) if levels == 2 else 0, dtype=np.bool_)
        if levels == 2:
            large[read_positions(reader, len(large))] = True
        reader.end()
        _require_used(chosen, large, scales)
        return cls(chosen, negative, large, scales)

    def _signed(self) -> Float32s:
        """The values at the chosen places, exact in float32."""
        counts = self.chosen.counts
        magnitudes, *more = (np.repeat(scales.values().astype(np.float32), counts) for scales in self.scales)
        for larger in more:
            np.copyto(magnitudes, larger, where=self.large)
        magnitudes *= 1 - 2 * self.negative.view(np.int8)
        return magnitudes

    def values(self) -> Float32s:
        """The values as float32, exact."""
        values = np.zeros(self.chosen.groups.parameters, dtype=np.float32)
        values[self.chosen.positions] = self._signed()
        return values

    def summand(self) -> Summand:
        """Itself."""
        return self

    def pieces(self) -> Iterable[slice]:
        """All values, as many at a time as are best worked on together."""
        return chunks(self.chosen.groups.parameters, PIECE)

    def adder(self, factor: float, scratch: Scratch) -> Adder:
        """What adds some of the values times ``factor``: the chosen ones alone, the others would add a zero."""
        values, positions = self._signed(), self.chosen.positions

        def add(total: Float64s, chunk: slice) -> None:
            found = self._inside(chunk)
            places = scratch.take("places", found.stop - found.start, np.int64)
            np.subtract(positions[found], chunk.start, out=places)
            sums = total[places]
            add_times(factor, values[found], sums, scratch)
            total[places] = sums

        return add

    def nonzero(self, chunk: slice) -> Bools:
        """Which of some values are not zero."""
        found = np.zeros(chunk.stop - chunk.start, dtype=np.bool_)
        found[self.chosen.positions[self._inside(chunk)] - chunk.start] = True
        return found

    def _inside(self, chunk: slice) -> slice:
        first, last = np.searchsorted(self.chosen.positions, [chunk.start, chunk.stop])
        return slice(int(first), int(last))

    def norm_squared(self) -> Fraction:
        """Sum of the squares, exact."""
        counts = self.chosen.of_levels(self.large, len(self.scales))
        parts = [scales.squares(number) for scales, number in zip(self.scales, counts, strict=True)]
        return sum(parts, start=Fraction(0))

    def memory(self) -> Float32s:
        """Nothing."""
        return NOTHING


def kept_of(codec: Codec, length: int) -> int:
    """Values kept of a chunk of ``length``: in proportion, rounded down, and at least one."""
    return max(1, int(codec.settings["keep"]) * length // codec.block)


@functools.lru_cache(maxsize=8)
def _rows(layout: Layout, block: int) -> tuple[tuple[int, int, int], ...]:
    """Chunks in runs of equal length: first value, chunks, length of each."""
    runs = []
    for _, start, end in layout.offsets():
        whole = (end - start) // block
        if whole:
            runs.append((start, whole, block))
        if rest := (end - start) % block:
            runs.append((end - rest, 1, rest))
    return tuple(runs)


def _largest(codec: Codec, layout: Layout, values: Float32s) -> Int64s:
    """Positions of the largest values of each chunk that are not zero; of equal ones the first."""
    found: list[Int64s] = []
    for start, count, length in _rows(layout, codec.block):
        sizes = np.abs(values[start : start + count * length]).reshape(count, length)
        keep = min(kept_of(codec, length), length)
        least = np.partition(sizes.T, length - keep, axis=0)[length - keep][:, np.newaxis]
        above, equal = sizes > least, sizes == least
        room = keep - np.sum(above, axis=1, keepdims=True, dtype=np.int64)
        above |= equal & (np.cumsum(equal, axis=1, dtype=np.int64) <= room) & (sizes > 0)
        found.append(np.flatnonzero(above) + start)
    return np.concatenate(found)


def _integers(chosen: Chosen, sizes: Float32s) -> tuple[Int64s, Int64s]:
    """Sizes as integers in a unit of their group, and the exponents of the units."""
    bounds = np.searchsorted(chosen.positions, chosen.groups.starts)
    ends = np.searchsorted(chosen.positions, chosen.groups.starts + chosen.groups.lengths)
    used = ends > bounds
    largest = np.zeros(chosen.groups.count, dtype=np.float32)
    if len(sizes):
        largest[used] = np.maximum.reduceat(sizes, bounds[used])
    units = np.frexp(largest)[1].astype(np.int64) - UNIT_BITS
    factors = np.ldexp(np.ones(len(units), dtype=np.float64), -units)
    return (sizes * factors[chosen.owners]).astype(np.int64), units


def _border(chosen: Chosen, integers: Int64s) -> Bools:
    """Which values are large: beyond a border that begins at the mean and moves between the two means."""
    owners, counts = chosen.owners, np.maximum(chosen.total(np.ones(len(integers), dtype=np.bool_)), 1)
    border = -(-chosen.total(integers) // counts)
    for _ in range(TURNS):
        large = integers > border[owners]
        high = chosen.total(np.where(large, integers, 0)) // np.maximum(chosen.total(large), 1)
        low = chosen.total(np.where(large, 0, integers)) // np.maximum(chosen.total(~large), 1)
        border = np.where(high > 0, (low + high) // 2, border)
    return integers > border[owners]


def _scales(chosen: Chosen, integers: Int64s, units: Int64s, large: Bools) -> tuple[Scales, Scales]:
    low = mean_scales(chosen.total(np.where(large, 0, integers)), chosen.total(~large), units)
    return low, mean_scales(chosen.total(np.where(large, integers, 0)), chosen.total(large), units)


def _ordered(low: Scales, high: Scales) -> Bools:
    """Where both scales are used and the low one is smaller; mantissas are normal, so exponents come first."""
    less = (low.exponents < high.exponents) | ((low.exponents == high.exponents) & (low.mantissas < high.mantissas))
    both: Bools = less & (low.mantissas > 0) & (high.mantissas > 0)
    return both


def counts_of(blocks: Blocks, positions: Int64s) -> Int64s:
    """How many of some ascending positions each block has."""
    return np.diff(np.searchsorted(positions, blocks.starts), append=len(positions))


def _require_few(codec: Codec, layout: Layout, positions: Int64s) -> None:
    blocks = blocks_of(layout, codec.block)
    allowed = np.maximum(1, int(codec.settings["keep"]) * blocks.lengths // codec.block)
    if np.any(counts_of(blocks, positions) > allowed):
        raise FormatError("update keeps more values of a chunk than the run allows")


def _require_used(chosen: Chosen, large: Bools, scales: tuple[Scales, ...]) -> None:
    for counts, level in zip(chosen.of_levels(large, len(scales)), scales, strict=True):
        if not np.array_equal(counts > 0, level.mantissas > 0):
            raise FormatError("update has a scale without values or values without a scale")
    if len(scales) == 2 and not np.all(_ordered(*scales)[scales[1].mantissas > 0]):
        raise FormatError("update has a small scale that is not the smaller one")
