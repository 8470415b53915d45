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
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from attestrain.errors import FormatError
from attestrain.record.layout import Layout, TensorSpec
from attestrain.record.names import Round, Worker
from attestrain.record.spec import RunSpec
from attestrain.update.arrays import chunks

Scalar = TypeVar("Scalar", bound=np.generic)


class Run(NamedTuple):
    """Spans of ``length`` values, one every ``stride`` values of a flat buffer; it has them all from first to last."""

    first: int
    stride: int
    length: int
    number: int
    at: int
    """Of the values in the fragment."""

    def pieces(self, most: int) -> Iterator[Run]:
        """The spans, so many at a time that they have about ``most`` values; long ones cut."""
        if self.length > most:
            for number in range(self.number):
                for cut in chunks(self.length, most):
                    first, at = self.first + number * self.stride, self.at + number * self.length
                    size = cut.stop - cut.start
                    yield Run(first + cut.start, size, size, 1, at + cut.start)
            return
        for some in chunks(self.number, most // self.length):
            first, at = self.first + some.start * self.stride, self.at + some.start * self.length
            yield Run(first, self.stride, self.length, some.stop - some.start, at)

    @property
    def inside(self) -> slice:
        """The values in the fragment."""
        return slice(self.at, self.at + self.number * self.length)

    def rows(self, values: NDArray[Scalar]) -> NDArray[Scalar]:
        """The spans in a flat buffer, a row each; nothing is copied."""
        return values[self.first : self.first + self.number * self.stride].reshape(-1, self.stride)[:, : self.length]


@dataclass(frozen=True, slots=True)
class Fragment:
    """Some tensors of a model: their own layout, and where they lie in the model's flat buffer."""

    layout: Layout
    spans: tuple[tuple[int, int], ...]
    whole: bool
    runs: tuple[Run, ...] = field(compare=False)
    """The spans, neighbours of one length and distance together."""

    @classmethod
    def of(cls, layout: Layout, spans: Sequence[tuple[int, int]], *, whole: bool) -> Fragment:
        """The fragment of these spans."""
        return cls(layout, tuple(spans), whole, tuple(_runs(spans)))

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


def _runs(spans: Sequence[tuple[int, int]]) -> Iterator[Run]:
    """A run ends where the next span has another distance or length, so that all of its strides lie in the buffer."""
    starts, ends = np.array(spans, dtype=np.int64).reshape(-1, 2).T
    lengths = ends - starts
    strides = np.concatenate([np.diff(starts), lengths[-1:]])
    places = np.cumsum(lengths, dtype=np.int64) - lengths
    changes = np.flatnonzero((np.diff(strides) != 0) | (np.diff(lengths) != 0)) + 1
    for first, last in itertools.pairwise([0, *changes.tolist(), len(starts)]):
        yield Run(int(starts[first]), int(strides[first]), int(lengths[first]), last - first, int(places[first]))


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
        return Fragment.of(layout, [(0, layout.parameters)], whole=True)
    part = Layout(layout.tensors[index::fragments])
    places = [(start, end) for _, start, end in layout.offsets()]
    return Fragment.of(part, places[index::fragments], whole=False)


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
        return Fragment.of(layout, [(0, layout.parameters)], whole=True)
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
    return Fragment.of(Layout(tuple(tensors)), spans, whole=False)
