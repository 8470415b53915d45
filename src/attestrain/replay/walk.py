"""Walking the lanes of a bundle: executing what is planned, segment by segment, and judging it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from attestrain.record.names import Round, Worker
from attestrain.replay.case import Case
from attestrain.replay.lanes import Lane, Place, Standing, read_state
from attestrain.replay.segment import Reexecuted, component_difference, judge, reexecute
from attestrain.rules.faults import faults
from attestrain.rules.membership import candidates
from attestrain.train.batches import RoundBatches
from attestrain.train.state import State, genesis_state, state_refs
from attestrain.update.checkpoint import Checkpoint, advance, genesis
from attestrain.verify.checks import Contradiction
from attestrain.verify.continuity import check_segments
from attestrain.verify.receipts import read_update

OTHER_START = "begins with another {} than the segment before ended with"
NO_START = "the state before it cannot be had"


@dataclass(frozen=True, slots=True)
class Row:
    """One segment executed again.

    Attributes:
        worker: whose.
        round: of which round.
        segment: which of the round's.
        kind: adopt, inner or compress.
        outcome: ``exact``, ``tolerance``, ``fault``, or ``unknown`` where this machine is of another environment
            class than the worker's and nothing can be told from a difference.
        detail: what differs.
        drawn: whether it was drawn, or passed on the way to a drawn one.
        already_reported: a fault of a worker that the bundle itself reports at fault.
        seconds: what it took.
    """

    worker: Worker
    round: Round
    segment: int
    kind: str
    outcome: str
    detail: str
    drawn: bool
    already_reported: bool
    seconds: float


def walk(case: Case, lanes: list[Lane]) -> Iterator[Row]:
    """Execute what the lanes plan, round by round, so that few checkpoints at a time are in memory.

    Raises:
        Contradiction: a checkpoint does not follow from the updates, or a trace is not of the run's shape.
    """
    recent = [genesis(case.spec)]
    last = max((place[0] for lane in lanes for place in lane.drawn), default=Round(-1))
    for round_ in sorted(case.ledger.rounds):
        if round_ > last:
            return
        base, stated = recent[0], case.ledger.rounds[round_].opened.statement.base
        if base.record.digest != stated:
            raise Contradiction(f"round {round_} opens on a checkpoint that does not follow from the updates", claim=8)
        for lane in lanes:
            yield from _replay_round(case, lane, round_, base)
        updates = {w: read_update(case.bundle, case.works[round_, w].receipt) for w in candidates(case.ledger, round_)}
        following = advance(case.spec, recent[-1], updates, stated).checkpoint
        recent = [*recent, following][-1 - case.spec.overlap.delay :]


def _replay_round(case: Case, lane: Lane, round_: Round, checkpoint: Checkpoint) -> Iterator[Row]:
    """The planned segments of one worker-round; drawn ones that cannot be reached are unknown."""
    work = case.works.get((round_, lane.worker))
    if work is None:
        return
    schedule = case.spec.schedule
    check_segments(case.spec, checkpoint.record, work.trace, lane.rounds.index(round_) * schedule.steps)
    for segment in range(schedule.segments):
        place = (round_, segment)
        if lane.stopped:
            return
        standing = _arrive(case, lane, place, checkpoint) if place in lane.planned else None
        if standing is not None:
            yield _replay_place(case, lane, standing, checkpoint)
        elif place in lane.drawn:
            kind = work.trace.segments[segment].kind
            yield _row(case, lane, place, kind, "unknown", NO_START, 0.0)


def _arrive(case: Case, lane: Lane, place: Place, checkpoint: Checkpoint) -> Standing | None:
    """Where a lane stands at ``place``: by what it has executed, or by a known state."""
    standing, lane.standing = lane.standing, None
    if standing is not None and standing.place == place:
        return standing
    state = _known(case, lane, place, checkpoint) if place in lane.starts else None
    return None if state is None else Standing(state, state_refs(state), place)


def _known(case: Case, lane: Lane, place: Place, checkpoint: Checkpoint) -> State | None:
    if place == (lane.rounds[0], 0):
        return genesis_state(case.spec)
    refs = case.works[place[0], lane.worker].trace.states[place[1]]
    return read_state(case.bundle, case.spec, refs, checkpoint)


def _replay_place(case: Case, lane: Lane, standing: Standing, checkpoint: Checkpoint) -> Row:
    """Execute one segment from where the lane stands, and move the lane on."""
    begin = time.perf_counter()
    round_, segment = standing.place
    trace = case.works[round_, lane.worker].trace
    if moved := component_difference(trace.states[segment], standing.refs):
        lane.stopped = True
        detail = OTHER_START.format(", ".join(moved))
        return _row(case, lane, standing.place, trace.segments[segment].kind, "fault", detail, 0.0)
    beacon = case.ledger.rounds[round_].opened.statement.beacon
    batches = RoundBatches(case.spec, case.split, beacon, lane.worker)
    done = reexecute(case.engine, trace, segment, standing.state, standing.refs, checkpoint, batches)
    outcome, detail = _settle(case, lane, standing, done, checkpoint)
    return _row(case, lane, standing.place, done.replayed.kind, outcome, detail, time.perf_counter() - begin)


def _settle(case: Case, lane: Lane, standing: Standing, done: Reexecuted, checkpoint: Checkpoint) -> tuple[str, str]:
    """What a replay says of the worker, and where the lane goes on."""
    following = lane.after(standing.place, case.spec.schedule.segments)
    if done.replayed.outcome == "exact" and done.work is not None:
        lane.standing = None if following is None else Standing(done.work.state, done.refs, following)
        return "exact", ""
    if lane.worker not in case.other_class or not done.tolerable:
        lane.stopped = True
        return done.replayed.outcome, done.replayed.detail
    round_, segment = standing.place
    trace, tolerance = case.works[round_, lane.worker].trace, case.tolerances[lane.worker]
    after = trace.states[segment + 1]
    claimed = read_state(case.bundle, case.spec, after, checkpoint)
    if claimed is None or tolerance is None:
        return "unknown", f"another environment class: {done.replayed.detail}"
    judged = judge(case.spec, trace.segments[segment], standing.state, claimed, done, tolerance)
    lane.stopped = judged.outcome == "fault"
    lane.standing = None if lane.stopped or following is None else Standing(claimed, after, following)
    return judged.outcome, judged.detail


def _row(case: Case, lane: Lane, place: Place, kind: str, outcome: str, detail: str, seconds: float) -> Row:
    reported = outcome == "fault" and lane.worker in faults(case.ledger)
    row = Row(lane.worker, *place, kind, outcome, detail, place in lane.drawn, reported, round(seconds, 3))
    case.on_event("replayed", {name: getattr(row, name) for name in Row.__dataclass_fields__})
    return row
