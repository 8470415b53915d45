"""Dense codec: the float32 values as they are."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from attestrain.errors import FormatError
from attestrain.record.layout import Layout
from attestrain.record.spec import Codec
from attestrain.update.arrays import MAX_MAGNITUDE, NOTHING, STORED, Float32s

NORM_BITS: Final = 24
"""For the norm, values are cut to multiples of 2^-24 of a power of two above the largest: what is lost is below the
rounding of the largest value itself."""
_CHUNK: Final = 1 << 14
"""Values squared at a time: their squares are below 2^48 and the sum below 2^62."""


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

    def norm_squared(self) -> Fraction:
        """Sum of the squares after cutting to ``NORM_BITS``: a definition, so exact."""
        unit = int(np.frexp(np.max(np.abs(self.array)))[1]) - NORM_BITS
        total = 0
        for at in range(0, len(self.array), _CHUNK):
            chunk = np.abs(self.array[at : at + _CHUNK]).astype(np.float64)
            integers = np.ldexp(chunk, -unit).astype(np.int64)
            total += int((integers * integers).sum(dtype=np.int64))
        return total * (Fraction(1 << 2 * unit) if unit >= 0 else Fraction(1, 1 << -2 * unit))

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
        array = np.frombuffer(body, dtype=STORED).astype(np.float32)
        if not np.max(np.abs(array)) < MAX_MAGNITUDE:
            raise FormatError("update has a value that is not finite or too large")
        return cls(array)
