"""The merged update of a round: its aggregate as one canonical byte string, for those who do not want every update.

With many workers, fetching everybody's update costs more than training saves: twenty ternary updates are 30 bits a
parameter. Where a run merges, the outer step goes by the aggregate as a codec can express it, so that the bytes of this
one update and the checkpoint before it give the next checkpoint. Whoever has the updates makes the same bytes from
them, and the checkpoint's digest covers their name: nobody has to be believed about them for longer than that takes.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from attestrain.errors import FormatError
from attestrain.record.checkpoint import CheckpointRecord
from attestrain.record.spec import Codec, Merge, RunSpec
from attestrain.update.arrays import MAX_MAGNITUDE, NOTHING, Float32s, Float64s
from attestrain.update.codec import CODECS
from attestrain.update.fragments import fragment_of
from attestrain.update.header import CODEC_NUMBERS

MAGIC: Final = b"attestrain.dev/merged@v1\n"
_HEADER = struct.Struct(f"<{len(MAGIC)}sB32sII32sQ")
"""Magic, codec, run, branch, round, checkpoint of the round, number of values; integers little-endian."""
LARGEST: Final = np.nextafter(np.float32(MAX_MAGNITUDE), np.float32(0))
"""What a codec can still express; an aggregate beyond it is cut off there."""


def merge(spec: RunSpec, checkpoint: CheckpointRecord, aggregate: Float64s) -> tuple[bytes, Float32s]:
    """The merged update of the round of ``checkpoint``: its bytes, and the values that they stand for.

    Args:
        spec: a run that merges.
        checkpoint: that the outer step starts from.
        aggregate: of the round's fragment, finite.
    """
    rule, layout = _rule(spec), fragment_of(spec, checkpoint.round).layout
    values = np.clip(aggregate, -LARGEST, LARGEST).astype(np.float32)
    body = CODECS[rule.name].quantise(_codec(rule), layout, values, NOTHING)
    return _header(rule, checkpoint, layout.parameters) + body.to_bytes(), body.values()


def read_merged(spec: RunSpec, checkpoint: CheckpointRecord, data: bytes) -> Float32s:
    """The values of the merged update of the round of ``checkpoint``, read strictly.

    Raises:
        FormatError: malformed, not canonical, or of another run, round or checkpoint.
    """
    rule, layout = _rule(spec), fragment_of(spec, checkpoint.round).layout
    header = _header(rule, checkpoint, layout.parameters)
    if data[: len(header)] != header:
        raise FormatError(f"this is not the merged update of round {checkpoint.round}")
    return CODECS[rule.name].from_bytes(_codec(rule), layout, memoryview(data)[len(header) :]).values()


def _rule(spec: RunSpec) -> Merge:
    if spec.merge is None:
        raise ValueError("the run does not merge updates")
    return spec.merge


def _header(rule: Merge, checkpoint: CheckpointRecord, parameters: int) -> bytes:
    place = (checkpoint.run, checkpoint.branch, checkpoint.round, checkpoint.digest)
    return _HEADER.pack(MAGIC, CODEC_NUMBERS[rule.name], *place, parameters)


def _codec(rule: Merge) -> Codec:
    return Codec(rule.name, rule.block, "0", rule.settings)
