"""An update as bytes: the header, then a body in the run's codec.

Coding and decoding are exact: the same values give the same bytes and the same bytes the same values on every machine,
and no two byte strings stand for one update.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Protocol, Self

import numpy as np

from attestrain.errors import FormatError, RunFailed
from attestrain.record.layout import Layout
from attestrain.record.spec import Codec, RunSpec
from attestrain.update import lowrank
from attestrain.update.arrays import MAX_MAGNITUDE, NOTHING, Float32s, Summand
from attestrain.update.dct import DctTopK
from attestrain.update.dense import Dense
from attestrain.update.fragments import share_of
from attestrain.update.header import HEADER_SIZE, UpdateHeader, read_opening
from attestrain.update.integer import Int4, Int8
from attestrain.update.sign import Sign
from attestrain.update.ternary import Ternary
from attestrain.update.topk import TopK
from attestrain.update.two_bit import TwoBit


class Body(Protocol):
    """What a codec provides. ``layout`` is that of the values: the model's, or a fragment's."""

    @classmethod
    def quantise(cls, codec: Codec, layout: Layout, values: Float32s, memory: Float32s) -> Self:
        """The nearest update that the codec can express, given what it remembers of the last one."""
        ...

    @classmethod
    def from_bytes(cls, codec: Codec, layout: Layout, body: memoryview) -> Self:
        """Read strictly; FormatError for anything that ``to_bytes`` does not write."""
        ...

    def to_bytes(self) -> bytes:
        """Canonical bytes."""
        ...

    def values(self) -> Float32s:
        """The values in layout order."""
        ...

    def summand(self) -> Summand:
        """The values, to be added without spelling all of them out where that can be."""
        ...

    def norm_squared(self) -> Fraction:
        """Sum of the squares."""
        ...

    def memory(self) -> Float32s:
        """What the codec has to remember for the worker's next update; empty for most."""
        ...


CODECS: Final[dict[str, type[Body]]] = {
    "dense": Dense,
    "ternary": Ternary,
    "two-bit": TwoBit,
    "sign": Sign,
    "int8": Int8,
    "int4": Int4,
    "topk": TopK,
    "dct": DctTopK,
    "lowrank": lowrank.LowRank,
}


def memory_size(codec: Codec, layout: Layout) -> int:
    """How many float32 values a codec remembers from one update over ``layout`` to the next."""
    return lowrank.memory_size(codec, layout) if codec.name == "lowrank" else 0


@dataclass(frozen=True, slots=True)
class DecodedUpdate:
    """An update, taken apart."""

    header: UpdateHeader
    codec: str
    body: Body

    def values(self) -> Float32s:
        """The pseudo-gradient: base minus trained parameters as the codec could express it, in layout order."""
        return self.body.values()

    def norm_squared(self) -> Fraction:
        """Sum of the squares of the values, from integers alone."""
        return self.body.norm_squared()

    def to_bytes(self) -> bytes:
        """The bytes it was decoded from, or would be published as."""
        return self.header.to_bytes(self.codec, len(self.values())) + self.body.to_bytes()


def quantise(
    spec: RunSpec, header: UpdateHeader, values: Float32s, memory: Float32s = NOTHING, rank: int | None = None
) -> DecodedUpdate:
    """The update that the run's codec makes of ``values``, those of the worker's share of the round's fragment.

    Args:
        spec: the run.
        header: the slot and base of the update.
        values: what to send.
        memory: what the codec remembers of the last update, at the same rank.
        rank: of the factors in this round, where the run adapts it; None: that of the spec.

    Raises:
        RunFailed: a value is not finite or at least 2^106.
        ValueError: another type or number of values than the share has.
    """
    layout = share_of(spec, header.round, header.worker).layout
    if values.dtype != np.float32 or values.shape != (layout.parameters,):
        raise ValueError(f"expected {layout.parameters} float32 values, got {values.dtype} {values.shape}")
    if not np.max(np.abs(values)) < MAX_MAGNITUDE:
        raise RunFailed(
            "the update holds values that are not finite or beyond all measure: training diverged",
            hint="lower the learning rate or lengthen its warm-up",
        )
    codec = lowrank.at_rank(spec.codec, rank)
    return DecodedUpdate(header, codec.name, CODECS[codec.name].quantise(codec, layout, values, memory))


def encode(spec: RunSpec, header: UpdateHeader, values: Float32s) -> bytes:
    """The bytes of the update that the run's codec makes of ``values``.

    Raises:
        RunFailed: a value is not finite or at least 2^106.
        ValueError: another type or number of values than the layout has.
    """
    return quantise(spec, header, values).to_bytes()


def decode(spec: RunSpec, data: bytes, rank: int | None = None) -> DecodedUpdate:
    """Read an update of the run strictly. The header's slot and base are the caller's to check.

    Args:
        spec: the run.
        data: the update.
        rank: of the factors in its round, where the run adapts it; None: that of the spec.

    Raises:
        FormatError: malformed, of another codec or size than the run's, out of bounds or not canonical.
    """
    opening = read_opening(data)
    layout = share_of(spec, opening.header.round, opening.header.worker).layout
    if opening.codec != spec.codec.name or opening.parameters != layout.parameters:
        raise FormatError(f"update is {opening.codec} over {opening.parameters} values, which is not the run's")
    codec = lowrank.at_rank(spec.codec, rank)
    body = CODECS[opening.codec].from_bytes(codec, layout, memoryview(data)[HEADER_SIZE:])
    return DecodedUpdate(opening.header, opening.codec, body)
