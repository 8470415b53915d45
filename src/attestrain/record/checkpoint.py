"""A checkpoint by name: the document whose digest receipts build on and the model is delivered under.

It names every value that the next round depends on: the parameters and the outer momentum; and, where the run merges
updates, the bytes of the merged update that led here; and, where the run adapts the rank of its updates, the plan.
"""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.errors import FormatError
from attestrain.record.blob import BlobRef
from attestrain.record.canonical import canonical, parse
from attestrain.record.digest import Digest, sha256
from attestrain.record.fields import Fields
from attestrain.record.names import Branch, Round, RunId
from attestrain.record.plan import Plan
from attestrain.record.spec import MAX_ROUNDS

FORMAT = "attestrain.dev/checkpoint@v1"
MAX_CHECKPOINT = 4096
"""Largest document: it names three blobs, and up to 66 ranks."""


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """Checkpoint ``round``: the state before that round.

    Attributes:
        params: little-endian float32 in layout order.
        momentum: likewise, plane after plane.
        merged: the merged update of the round before, None where nothing was merged.
        plan: the ranks of the rounds whose workers start here, None where the run keeps its rank.
    """

    run: RunId
    branch: Branch
    round: Round
    params: BlobRef
    momentum: BlobRef
    merged: BlobRef | None = None
    plan: Plan | None = None

    def to_bytes(self) -> bytes:
        """Canonical document."""
        merged = {} if self.merged is None else {"merged": self.merged.to_json()}
        plan = {} if self.plan is None else {"plan": self.plan.to_json()}
        return canonical(
            {
                **merged,
                **plan,
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

    def rank_of(self, round_: Round) -> int | None:
        """Rank of the updates of ``round_``, whose workers start from this checkpoint; None: that of the spec.

        Raises:
            FormatError: the plan does not reach to that round.
        """
        if self.plan is None:
            return None
        if not 0 <= round_ - self.round < len(self.plan.ranks):
            raise FormatError(f"checkpoint {self.round} has no plan of round {round_}")
        return self.plan.ranks[round_ - self.round]

    @classmethod
    def from_bytes(cls, data: bytes) -> CheckpointRecord:
        """Read a checkpoint document strictly.

        Raises:
            FormatError: malformed or out of bounds.
        """
        document = parse(data, max_bytes=MAX_CHECKPOINT)
        keys: tuple[str, ...] = ("format", "run", "branch", "round", "params", "momentum")
        keys = (*keys, *(key for key in ("merged", "plan") if key in document))
        fields = Fields(document, keys, "checkpoint")
        fields.constant("format", FORMAT)
        return cls(
            run=RunId(fields.digest("run")),
            branch=Branch(fields.integer("branch", 0, MAX_ROUNDS)),
            round=Round(fields.integer("round", 0, MAX_ROUNDS)),
            params=BlobRef.from_json(fields.object("params")),
            momentum=BlobRef.from_json(fields.object("momentum")),
            merged=BlobRef.from_json(fields.object("merged")) if "merged" in document else None,
            plan=Plan.from_json(fields.object("plan")) if "plan" in document else None,
        )
