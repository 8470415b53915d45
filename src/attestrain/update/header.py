"""The fixed bytes that open every update and say whose it is.

They lie in the first leaf of the update's blob, so an update copied from another worker, round or base names its origin
and is refused by everyone who decodes it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from attestrain.errors import FormatError
from attestrain.record.digest import Digest
from attestrain.record.names import Branch, Round, RunId, Worker

MAGIC: Final = b"attestrain.dev/update@v1\n"
CODEC_NUMBERS: Final = {
    "dense": 0,
    "ternary": 1,
    "two-bit": 2,
    "sign": 3,
    "int8": 4,
    "int4": 5,
    "topk": 6,
    "dct": 7,
    "lowrank": 8,
}
"""How the header names codecs. Published: never renumber."""

_LAYOUT = struct.Struct(f"<{len(MAGIC)}sB32sIII32sQ")
HEADER_SIZE: Final = _LAYOUT.size
"""110 bytes: magic, codec, run, branch, round, worker, base, number of values; integers little-endian."""


@dataclass(frozen=True, slots=True)
class UpdateHeader:
    """Slot of an update and the digest of the checkpoint it starts from."""

    run: RunId
    branch: Branch
    round: Round
    worker: Worker
    base: Digest

    def to_bytes(self, codec: str, parameters: int) -> bytes:
        """The header of an update coded with ``codec`` over ``parameters`` values."""
        return _LAYOUT.pack(
            MAGIC, CODEC_NUMBERS[codec], self.run, self.branch, self.round, self.worker, self.base, parameters
        )


@dataclass(frozen=True, slots=True)
class Opening:
    """What the fixed bytes say."""

    header: UpdateHeader
    codec: str
    parameters: int


def read_opening(data: bytes) -> Opening:
    """Read the fixed bytes that open ``data``.

    Raises:
        FormatError: too short, another format or version, or an unknown codec.
    """
    if len(data) < HEADER_SIZE:
        raise FormatError(f"update of {len(data)} bytes is shorter than its header")
    magic, number, run, branch, round_, worker, base, parameters = _LAYOUT.unpack_from(data)
    if magic != MAGIC:
        raise FormatError("update does not open with its format")
    for codec, known in CODEC_NUMBERS.items():
        if number == known:
            header = UpdateHeader(RunId(Digest(run)), Branch(branch), Round(round_), Worker(worker), Digest(base))
            return Opening(header, codec, parameters)
    raise FormatError(f"update has unknown codec {number}")
