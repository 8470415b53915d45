"""Arrays that are written to again and again instead of being made anew."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


class Scratch:
    """Room for intermediate values, one array for each use.

    A fresh array of some hundred kilobytes comes from the operating system, a page fault for every 4 KiB of it: ten
    times what it takes to add values that are in the cache. What such an array held before is undefined.
    """

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, type[np.generic]], NDArray[np.generic]] = {}

    def take(self, use: str, size: int, kind: type[Scalar]) -> NDArray[Scalar]:
        """Room for ``size`` values; the same again for the same use and kind."""
        room = self._arrays.get((use, kind))
        if room is None or len(room) < size:
            room = self._arrays[use, kind] = np.empty(size, dtype=kind)
        found: NDArray[Scalar] = room[:size].view(kind)
        return found

    def zeros(self, use: str, size: int, kind: type[Scalar]) -> NDArray[Scalar]:
        """The same, filled with zeros."""
        found = self.take(use, size, kind)
        found.fill(0)
        return found
