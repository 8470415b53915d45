"""Dense codec: the float32 values as they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from attestrain.errors import FormatError
from attestrain.record.layout import Layout
from attestrain.record.spec import Codec
from attestrain.update.arrays import (
    MAX_MAGNITUDE,
    NOTHING,
    STORED,
    Adder,
    Bools,
    Float32s,
    Float64s,
    Summand,
    add_times,
    chunks,
)
from attestrain.update.blocks import CHUNK
from attestrain.update.norms import largest_of, squared_norm
from attestrain.update.scratch import Scratch


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """An update as float32 values."""

    array: Float32s

    @classmethod
    def quantise(cls, codec: Codec, layout: Layout, values: Float32s, memory: Float32s = NOTHING) -> Dense:
        """Keep ``values`` as they are."""
        return cls(values.copy())

    def values(self) -> Float32s:
        """The values."""
        return self.array

    def summand(self) -> Summand:
        """Itself."""
        return self

    def pieces(self) -> Iterable[slice]:
        """All values, as many at a time as are best worked on together."""
        return chunks(len(self.array), CHUNK)

    def adder(self, factor: float, scratch: Scratch) -> Adder:
        """What adds some of the values times ``factor``, product and sum in float64."""

        def add(total: Float64s, chunk: slice) -> None:
            add_times(factor, self.array[chunk], total, scratch)

        return add

    def nonzero(self, chunk: slice) -> Bools:
        """Which of some values are not zero."""
        found: Bools = self.array[chunk] != 0
        return found

    def norm_squared(self) -> Fraction:
        """Sum of the squares after cutting (`update.norms`)."""
        return squared_norm(self.array)

    def memory(self) -> Float32s:
        """Nothing."""
        return NOTHING

    def to_bytes(self) -> bytes:
        """Little-endian float32."""
        return self.array.astype(STORED).tobytes()

    @classmethod
    def from_bytes(cls, codec: Codec, layout: Layout, body: memoryview) -> Dense:
        """Read strictly.

        Raises:
            FormatError: of another size, or a value that is not finite or too large.
        """
        if len(body) != STORED.itemsize * layout.parameters:
            raise FormatError(f"dense update has {len(body)} bytes of values")
        array = np.empty(layout.parameters, dtype=STORED)
        array.view(np.uint8)[:] = np.frombuffer(body, dtype=np.uint8)  # the body need not be aligned
        if not largest_of(array) < MAX_MAGNITUDE:
            raise FormatError("update has a value that is not finite or too large")
        return cls(array.astype(np.float32, copy=False))
