"""Fragments, the parts of a model that are synchronised in turn, and shares, the parts that workers send in turn.

Fragments are those of Streaming DiLoCo (Douillard et al. 2025). Tensor i belongs to fragment i modulo their number, so
each holds tensors of every depth, and round r synchronises fragment r modulo their number.

Block j of a fragment belongs to share j modulo their number, and in round r worker k sends share r + k modulo their
number: so many times fewer bytes, and every part of the model in every round. A mean over all workers becomes one over
those whose turn it is: noisier, and never late. What the others would have sent of that part is dropped: kept back and
added to later updates it does harm (docs/benchmarks.md).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from attestrain.errors import FormatError
from attestrain.record.layout import Layout, TensorSpec
from attestrain.record.names import Round, Worker
from attestrain.record.spec import RunSpec

Scalar = TypeVar("Scalar", bound=np.generic)
Summands = TypeVar("Summands", NDArray[np.float64], NDArray[np.int64])


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

    def add(self, total: Summands, part: Summands) -> None:
        """Add ``part`` to its place in ``total``."""
        at = 0
        for start, end in self.spans:
            total[start:end] += part[at : at + end - start]
            at += end - start


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


def share_of(spec: RunSpec, round_: Round, worker: Worker) -> Fragment:
    """The share that a worker sends of the fragment that a round synchronises; its spans lie in that fragment.

    Raises:
        FormatError: a fragment has fewer blocks than the spec has shares.
    """
    count = spec.overlap.shares
    return share(fragment_of(spec, round_).layout, spec.codec.block, count, (round_ + worker) % count)


@functools.lru_cache(maxsize=64)
def share(layout: Layout, block: int, shares: int, index: int) -> Fragment:
    """Share ``index`` of ``shares``: every so manieth block of ``layout``, as tensors of one axis.

    Raises:
        FormatError: the layout has fewer blocks than that.
    """
    if shares == 1:
        return Fragment(layout, ((0, layout.parameters),), whole=True)
    tensors, spans, number = [], [], 0
    for tensor, start, end in layout.offsets():
        own = []
        for at in range(start, end, block):
            if number % shares == index:
                own.append((at, min(at + block, end)))
            number += 1
        spans += own
        if size := sum(last - first for first, last in own):
            tensors.append(TensorSpec(tensor.name, (size,), tensor.init))
    if number < shares:
        raise FormatError(f"{number} blocks make no {shares} shares")
    return Fragment(Layout(tuple(tensors)), tuple(spans), whole=False)
