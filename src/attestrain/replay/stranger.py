"""A stranger's replay: a random part of a finished run executed again, on randomness of the stranger's own.

Nothing is taken on trust that can be recomputed: the transcript is admitted again, the checkpoints are derived again
from the updates, and the data is held against the leaves that the run spec commits to. Every segment executed on the
way to a drawn one is compared too.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from attestrain.errors import UsageError
from attestrain.record.digest import tagged
from attestrain.record.fields import is_decimal
from attestrain.record.names import RunId, Worker
from attestrain.replay.case import Case, OnEvent, open_case
from attestrain.replay.lanes import Lane, make_lanes, plan
from attestrain.replay.walk import Row, walk
from attestrain.rules.bijection import Bijection

DRAW_TAG = "attestrain.dev/stranger-draw@v1"
MAX_SEED = 256
"""Longest seed, in characters."""


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a stranger's replay found.

    Attributes:
        run: the run.
        seed: what the draw came from; the same seed draws the same segments.
        fraction: the part that was drawn.
        segments: segments of all published worker-rounds.
        drawn: how many were drawn.
        checked: how many of the drawn ones were executed and compared.
        rows: every segment executed, in order.
        other_class: workers whose environment class is not this machine's.
        seconds: in all.
    """

    run: RunId
    seed: str
    fraction: str
    segments: int
    drawn: int
    checked: int
    rows: tuple[Row, ...]
    other_class: tuple[Worker, ...]
    seconds: float

    @property
    def mismatches(self) -> list[Row]:
        """Segments whose worker is at fault."""
        return [row for row in self.rows if row.outcome == "fault"]


def replay_bundle(
    bundle: Path, fraction: str, *, seed: str | None, on_event: OnEvent, data: Path | None = None
) -> ReplayReport:
    """Execute a random part of all published segments of a finished run again.

    Replaying runs the task that the run spec names, from the packages installed here.

    Args:
        bundle: the bundle's folder.
        fraction: which part to draw, a decimal in (0, 1].
        seed: what to draw from; by default fresh randomness of the operating system.
        on_event: told of the beginning (``replay``), every segment (``replayed``) and the end (``replay-end``).
        data: the dataset's folder, for a bundle that does not hold its data.

    Raises:
        UsageError: ``fraction`` or ``seed`` is malformed, or this is not a bundle.
        Refuted: the bundle contradicts itself before anything is replayed.
        Undecided: the data is missing, or the code at hand is not the run's.
    """
    begin = time.perf_counter()
    share = _share(fraction)
    seed = os.urandom(16).hex() if seed is None else seed
    if not (0 < len(seed) <= MAX_SEED and seed.isascii() and seed.isprintable()):
        raise UsageError(f"a seed is 1 to {MAX_SEED} printable ASCII characters")
    case = open_case(bundle, data, on_event)
    lanes = make_lanes(case.ledger, case.works)
    segments, drawn = _draw(case, lanes, share, seed)
    planned = sum(len(lane.planned) for lane in lanes)
    facts = {"run": case.spec.run_id.hex(), "seed": seed, "segments": segments, "drawn": drawn, "planned": planned}
    on_event("replay", facts)
    rows = tuple(walk(case, lanes))
    checked = sum(row.drawn and row.outcome != "unknown" for row in rows)
    seconds = time.perf_counter() - begin
    other = tuple(sorted(case.other_class))
    report = ReplayReport(case.spec.run_id, seed, fraction, segments, drawn, checked, rows, other, seconds)
    on_event("replay-end", {"checked": checked, "mismatches": len(report.mismatches), "seconds": round(seconds, 3)})
    return report


def _share(fraction: str) -> Fraction:
    if not is_decimal(fraction) or not 0 < Fraction(fraction) <= 1:
        raise UsageError(f"fraction {fraction[:40]!r} is not a decimal above 0 and up to 1", hint="--fraction 0.05")
    return Fraction(fraction)


def _draw(case: Case, lanes: list[Lane], share: Fraction, seed: str) -> tuple[int, int]:
    """Draw among all published segments, and plan. Returns how many there are and how many were drawn."""
    count = case.spec.schedule.segments
    places = [(lane, place) for lane in lanes for place in lane.places(count) if (place[0], lane.worker) in case.works]
    shuffle = Bijection(tagged(DRAW_TAG, case.spec.run_id, seed.encode()), len(places))
    drawn = math.ceil(share * len(places))
    for index in range(drawn):
        lane, place = places[shuffle(index)]
        lane.drawn.add(place)
    for lane in lanes:
        plan(case.bundle, case.spec, case.works, lane)
    return len(places), drawn
