"""Array types of the exact path, and the one limit on what any update may hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from attestrain.update.scratch import Scratch

Float32s = NDArray[np.float32]
Float64s = NDArray[np.float64]
Int64s = NDArray[np.int64]
Int8s = NDArray[np.int8]
Bools = NDArray[np.bool_]
Bits = NDArray[np.uint8]
"""One 0 or 1 per byte."""

Adder = Callable[[Float64s, slice], None]
"""Adds the values that a slice names to as many sums."""


Pieces = Iterable[tuple[slice, Float64s]]
"""Values in order and some at a time: where they lie, and what they are until the next are asked for."""


class Summand(Protocol):
    """Values that aggregation adds, some at a time and without spelling out the rest."""

    def pieces(self) -> Iterable[slice]:
        """All values in order, as many at a time as are best worked on together."""
        ...

    def adder(self, factor: float, scratch: Scratch) -> Adder:
        """What adds some of the values, as float64 and times ``factor``; with factor 1 the product is left out.

        Product and sum are rounded to float64, each once. Adders that are used in turn may share ``scratch``.
        """
        ...

    def nonzero(self, chunk: slice) -> Bools:
        """Which of some values are not zero."""
        ...

    def values(self) -> Float32s:
        """All of them."""
        ...


STORED: Final = np.dtype("<f4")
"""How flat buffers are stored: little-endian float32."""

NOTHING: Final[Float32s] = np.zeros(0, dtype=np.float32)
"""The memory of a codec that needs none."""

MAX_MAGNITUDE: Final = math.ldexp(1.0, 106)
"""Every value of an update is smaller than this. Honest ones are far below 1; the bound keeps every later product and
sum of the exact path finite in float64, whatever a worker sends."""


def add_times(factor: float, values: Float32s, total: Float64s, scratch: Scratch) -> None:
    """Add ``values`` times ``factor`` to as many sums: product and sum in float64, no product with factor 1."""
    if factor == 1.0:
        total += values
        return
    products = scratch.take("products", len(values), np.float64)
    np.copyto(products, values)
    products *= factor
    total += products


def joined(size: int, pieces: Pieces) -> Float64s:
    """All ``size`` values of ``pieces``."""
    values = np.empty(size, dtype=np.float64)
    for part, some in pieces:
        values[part] = some
    return values


def chunks(size: int, step: int) -> Iterator[slice]:
    """Slices of ``step`` values, the last one shorter, that cover ``size``: so few that they stay in the cache."""
    for at in range(0, size, step):
        yield slice(at, min(at + step, size))
