"""Fragments: the parts of a model that are synchronised in turn (Streaming DiLoCo, Douillard et al. 2025).

Tensor i belongs to fragment i modulo their number, so each holds tensors of every depth, and round r synchronises
fragment r modulo their number.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from attestrain.errors import FormatError
from attestrain.record.layout import Layout
from attestrain.record.names import Round
from attestrain.record.spec import RunSpec

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Fragment:
    """Some tensors of a model: their own layout, and where they lie in the model's flat buffer."""

    layout: Layout
    spans: tuple[tuple[int, int], ...]
    whole: bool

    def take(self, values: NDArray[Scalar]) -> NDArray[Scalar]:
        """The fragment's part of a flat buffer; the buffer itself if the fragment is the whole model."""
        return values if self.whole else np.concatenate([values[start:end] for start, end in self.spans])

    def put(self, values: NDArray[Scalar], part: NDArray[Scalar]) -> NDArray[Scalar]:
        """A flat buffer as ``values``, but ``part`` in the fragment's place. Nothing is written to."""
        if self.whole:
            return part
        result, at = values.copy(), 0
        for start, end in self.spans:
            result[start:end] = part[at : at + end - start]
            at += end - start
        return result


def fragment_of(spec: RunSpec, round_: Round) -> Fragment:
    """The fragment that a round synchronises.

    Raises:
        FormatError: the model has fewer tensors than the spec has fragments.
    """
    return fragment(spec.layout, spec.overlap.fragments, round_ % spec.overlap.fragments)


@functools.lru_cache(maxsize=64)
def fragment(layout: Layout, fragments: int, index: int) -> Fragment:
    """Fragment ``index`` of ``fragments``.

    Raises:
        FormatError: the model has fewer tensors than that.
    """
    if len(layout.tensors) < fragments:
        raise FormatError(f"a model of {len(layout.tensors)} tensors has no {fragments} fragments")
    if fragments == 1:
        return Fragment(layout, ((0, layout.parameters),), whole=True)
    part = Layout(layout.tensors[index::fragments])
    places = [(start, end) for _, start, end in layout.offsets()]
    return Fragment(part, tuple(places[index::fragments]), whole=False)
