"""The rank of coming rounds, where a run adapts it: the rule in the run spec, and the plan that checkpoints carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attestrain.errors import FormatError
from attestrain.record.canonical import Json
from attestrain.record.fields import Fields

MAX_WINDOW = 64
"""Most rounds that a rank is averaged over: every checkpoint carries an estimate of each."""
MAX_PLANNED_RANK = 1 << 12
"""Highest rank in a plan: that of `update.settings` for low-rank factors."""
MAX_AHEAD = 2
"""Most rounds whose rank a checkpoint knows: its own, and the next one where rounds overlap."""


@dataclass(frozen=True, slots=True)
class Adaptive:
    """How the rank of low-rank updates follows from the updates before (DiLoCoX's AdaGradCmp, arXiv 2506.21263).

    Attributes:
        share: part of an update's energy that its effective rank holds, a decimal text in 0 .. 1.
        window: rounds whose estimates are averaged.
        min_rank: lowest rank; the highest one, which the run begins with, is the codec's.
    """

    share: str
    window: int
    min_rank: int

    def to_json(self) -> Json:
        """As in a run spec."""
        return {"share": self.share, "window": self.window, "min_rank": self.min_rank}


@dataclass(frozen=True, slots=True)
class Plan:
    """What checkpoint r knows of the ranks to come.

    Attributes:
        ranks: of round r, and where rounds overlap also of round r + 1, whose workers start from this checkpoint too.
        estimates: effective ranks of the last rounds that gave one, the latest last.
    """

    ranks: tuple[int, ...]
    estimates: tuple[int, ...]

    def to_json(self) -> Json:
        """As in a checkpoint."""
        return {"ranks": list(self.ranks), "estimates": list(self.estimates)}

    @classmethod
    def from_json(cls, value: Json) -> Plan:
        """Read strictly.

        Raises:
            FormatError: malformed or out of bounds.
        """
        fields = Fields(value, cls.__dataclass_fields__, "checkpoint.plan")
        ranks = _read_ranks(fields, "ranks", MAX_AHEAD)
        if not ranks:
            raise FormatError("checkpoint.plan has no rank")
        return cls(ranks, _read_ranks(fields, "estimates", MAX_WINDOW))


def read_adaptive(spec: Json, codec: str, settings: Mapping[str, str]) -> Adaptive | None:
    """Field ``adaptive`` of a run spec with this codec, None if it has none. Read strictly.

    Raises:
        FormatError: malformed, out of bounds, or in a run where ranks cannot follow from the updates.
    """
    if "adaptive" not in spec:
        return None
    text = settings.get("rank", "") if codec == "lowrank" else ""
    highest = int(text) if text.isdigit() else 0
    if not 1 <= highest <= MAX_PLANNED_RANK or "merge" in spec:
        raise FormatError("spec.adaptive needs codec lowrank with a rank, and no merged updates")
    fields = Fields(spec["adaptive"], Adaptive.__dataclass_fields__, "spec.adaptive")
    return Adaptive(
        share=fields.decimal("share", 0, 1),
        window=fields.integer("window", 1, MAX_WINDOW),
        min_rank=fields.integer("min_rank", 1, highest),
    )


def _read_ranks(fields: Fields, key: str, most: int) -> tuple[int, ...]:
    ranks = fields.array(key, max_length=most)
    if not all(type(rank) is int and 1 <= rank <= MAX_PLANNED_RANK for rank in ranks):
        raise fields.wrong(key, f"an array of integers in 1..{MAX_PLANNED_RANK}")
    return tuple(ranks)
