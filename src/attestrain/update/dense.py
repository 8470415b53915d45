"""Dense codec: the float32 values as they are."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from attestrain.errors import FormatError
from attestrain.record.layout import Layout
from attestrain.record.spec import Codec
from attestrain.update.arrays import MAX_MAGNITUDE, NOTHING, STORED, Float32s
from attestrain.update.norms import squared_norm


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
        array = np.frombuffer(body, dtype=STORED).astype(np.float32)
        if not np.max(np.abs(array)) < MAX_MAGNITUDE:
            raise FormatError("update has a value that is not finite or too large")
        return cls(array)
