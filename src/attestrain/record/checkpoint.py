"""A checkpoint by name: the document whose digest receipts build on and the model is delivered under.

It names every value that the next round depends on: the parameters and the outer momentum; and, where the run merges
updates, the bytes of the merged update that led here.
"""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.record.blob import BlobRef
from attestrain.record.canonical import canonical, parse
from attestrain.record.digest import Digest, sha256
from attestrain.record.fields import Fields
from attestrain.record.names import Branch, Round, RunId
from attestrain.record.spec import MAX_ROUNDS

FORMAT = "attestrain.dev/checkpoint@v1"
MAX_CHECKPOINT = 4096
"""Largest document: it names three blobs."""


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """Checkpoint ``round``: the state before that round.

    Attributes:
        params: little-endian float32 in layout order.
        momentum: likewise, plane after plane.
        merged: the merged update of the round before, None where nothing was merged.
    """

    run: RunId
    branch: Branch
    round: Round
    params: BlobRef
    momentum: BlobRef
    merged: BlobRef | None = None

    def to_bytes(self) -> bytes:
        """Canonical document."""
        merged = {} if self.merged is None else {"merged": self.merged.to_json()}
        return canonical(
            {
                **merged,
                "format": FORMAT,
                "run": self.run.hex(),
                "branch": self.branch,
                "round": self.round,
                "params": self.params.to_json(),
                "momentum": self.momentum.to_json(),
            }
        )

    @property
    def digest(self) -> Digest:
        """SHA-256 of the document."""
        return sha256(self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> CheckpointRecord:
        """Read a checkpoint document strictly.

        Raises:
            FormatError: malformed or out of bounds.
        """
        document = parse(data, max_bytes=MAX_CHECKPOINT)
        keys: tuple[str, ...] = ("format", "run", "branch", "round", "params", "momentum")
        if "merged" in document:
            keys = (*keys, "merged")
        fields = Fields(document, keys, "checkpoint")
        fields.constant("format", FORMAT)
        return cls(
            run=RunId(fields.digest("run")),
            branch=Branch(fields.integer("branch", 0, MAX_ROUNDS)),
            round=Round(fields.integer("round", 0, MAX_ROUNDS)),
            params=BlobRef.from_json(fields.object("params")),
            momentum=BlobRef.from_json(fields.object("momentum")),
            merged=BlobRef.from_json(fields.object("merged")) if "merged" in document else None,
        )
