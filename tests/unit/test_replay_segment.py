from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from attestrain.errors import Undecided
from attestrain.record.digest import sha256
from attestrain.record.trace import Trace
from attestrain.replay.compare import METRICS, Tolerance
from attestrain.replay.segment import MAX_DETAIL, Replayed, replay_segment
from attestrain.train.engine import Engine
from attestrain.train.state import State, state_refs
from attestrain.train.task import load_task
from attestrain.train.trace import RoundWork
from tests.unit.replay_world import (
    DoctorFeedback,
    DoctorOptimizer,
    Poison,
    SkipSteps,
    World,
    WrongData,
    batch,
    honest_world,
)

ADOPT, FIRST, SECOND, COMPRESS = range(4)
WIDE = Tolerance("test", {name: 1e9 for name in METRICS})


@pytest.fixture(scope="module", params=["muon", "adamw", "sgd"])
def world(request: pytest.FixtureRequest) -> World:
    return honest_world(request.param)


@pytest.fixture(scope="module")
def muon() -> World:
    return honest_world("muon")


def audit(world: World, work: RoundWork, segment: int, trace: Trace | None = None, **options: object) -> Replayed:
    round_ = work.trace.round
    return replay_segment(
        world.engine,
        world.spec,
        trace or work.trace,
        segment,
        work.states[segment],
        world.checkpoints[round_],
        world.batches(round_),
        **options,
    )


def edited(work: RoundWork, segment: int, step: int, **fields: object) -> Trace:
    """The trace with one step record changed."""
    changed = work.trace.segments[segment]
    steps = [replace(item, **fields) if at == step else item for at, item in enumerate(changed.steps)]
    segments = list(work.trace.segments)
    segments[segment] = replace(changed, steps=tuple(steps))
    return replace(work.trace, segments=tuple(segments))


def test_every_honest_segment_is_exact(world: World) -> None:
    for work in world.rounds:
        for segment, kind in enumerate(("adopt", "inner", "inner", "compress")):
            replayed = audit(world, work, segment)
            assert replayed == Replayed(kind, "exact", work.trace.result(segment), work.trace.result(segment), "")


def cheat(world: World, kind: type[Engine]) -> RoundWork:
    return world.work(1, kind(world.spec, load_task(world.spec.task.name)))


def test_skipped_steps_are_a_fault(muon: World) -> None:
    replayed = audit(muon, cheat(muon, SkipSteps), FIRST)
    assert replayed.outcome == "fault"
    assert replayed.detail == "step 1: loss; opt.m, opt.momentum, opt.v, params"
    assert replayed.claimed != replayed.observed


def test_training_on_other_data_is_a_fault(muon: World) -> None:
    replayed = audit(muon, cheat(muon, WrongData), SECOND)
    assert (replayed.outcome, replayed.detail) == ("fault", "step 4: loss; opt.m, opt.momentum, opt.v, params")


def test_an_unassigned_batch_is_a_fault_even_if_reported(muon: World) -> None:
    work = muon.work(1, batches=lambda steps: [batch(0, step) for step in steps])
    replayed = audit(muon, work, FIRST, claimed_out=work.states[SECOND], tolerance=WIDE)
    assert replayed.outcome == "fault"
    assert replayed.detail.startswith("step 0: batch; step 0: loss; ")


def test_another_learning_rate_is_a_fault(muon: World) -> None:
    trace = edited(muon.rounds[1], SECOND, 1, rate=0x3F800000)
    replayed = audit(muon, muon.rounds[1], SECOND, trace, claimed_out=muon.rounds[1].states[COMPRESS], tolerance=WIDE)
    assert (replayed.outcome, replayed.detail) == ("fault", "step 4: learning rate")


def test_optimizer_doctored_inside_adopt_is_a_fault(muon: World) -> None:
    replayed = audit(muon, cheat(muon, DoctorOptimizer), ADOPT, tolerance=WIDE)
    assert (replayed.outcome, replayed.detail) == ("fault", "opt.m, opt.momentum, opt.v")


def test_feedback_doctored_inside_compress_is_a_fault(muon: World) -> None:
    replayed = audit(muon, cheat(muon, DoctorFeedback), COMPRESS, tolerance=WIDE)
    assert (replayed.outcome, replayed.detail) == ("fault", "ef")


def test_a_poisoned_update_is_a_fault(muon: World) -> None:
    replayed = audit(muon, cheat(muon, Poison), COMPRESS, tolerance=WIDE)
    assert (replayed.outcome, replayed.detail) == ("fault", "ef; update")


def test_a_swapped_update_alone_is_a_fault(muon: World) -> None:
    work = muon.rounds[1]
    trace = replace(work.trace, update=muon.rounds[0].trace.update)
    assert audit(muon, work, COMPRESS, trace).detail == "update"


def test_a_missing_step_is_a_fault(muon: World) -> None:
    work = muon.rounds[1]
    segments = list(work.trace.segments)
    segments[FIRST] = replace(segments[FIRST], steps=segments[FIRST].steps[:-1])
    replayed = audit(muon, work, FIRST, replace(work.trace, segments=tuple(segments)), tolerance=WIDE)
    assert (replayed.outcome, replayed.detail) == ("fault", "2 steps instead of 3")


def test_a_segment_under_another_kind_is_a_fault(muon: World) -> None:
    work = muon.rounds[1]
    segments = list(work.trace.segments)
    segments[ADOPT] = replace(segments[ADOPT], kind="compress")
    replayed = audit(muon, work, ADOPT, replace(work.trace, segments=tuple(segments)))
    assert (replayed.outcome, replayed.detail) == ("fault", "claimed as compress, is adopt")


def test_a_state_that_breaks_the_replay_is_a_fault(muon: World) -> None:
    work = muon.rounds[1]
    broken: State = {**work.states[FIRST], "params": np.full_like(work.states[FIRST]["params"], np.nan)}
    states = list(work.trace.states)
    states[FIRST] = state_refs(broken)
    trace = replace(work.trace, states=tuple(states))
    batches, checkpoint = muon.batches(1), muon.checkpoints[1]
    replayed = replay_segment(muon.engine, muon.spec, trace, FIRST, broken, checkpoint, batches, tolerance=WIDE)
    assert replayed.outcome == "fault"
    assert replayed.detail.startswith("the replay fails: step 7: loss nan")
    assert replayed.observed != replayed.claimed


def test_long_details_are_cut(muon: World) -> None:
    work = muon.rounds[1]
    names = {f"component-{index:03d}": ref for index, ref in enumerate([work.trace.update] * 40)}
    states = list(work.trace.states)
    states[FIRST] = names
    detail = audit(muon, work, ADOPT, replace(work.trace, states=tuple(states))).detail
    assert len(detail) == MAX_DETAIL
    assert detail.endswith("...")


def test_a_state_of_another_segment_is_the_callers_mistake(muon: World) -> None:
    work = muon.rounds[1]
    batches, checkpoint = muon.batches(1), muon.checkpoints[1]
    with pytest.raises(ValueError, match="not the one before segment 2"):
        replay_segment(muon.engine, muon.spec, work.trace, SECOND, work.states[FIRST], checkpoint, batches)


def nudged(work: RoundWork, change: Callable[[State], State]) -> tuple[Trace, State]:
    """A trace whose first inner segment ends in a changed state, and that state."""
    after = change(work.states[SECOND])
    states = list(work.trace.states)
    states[SECOND] = state_refs(after)
    return replace(work.trace, states=tuple(states)), after


def one_ulp(state: State) -> State:
    params = state["params"].view(np.float32).copy()
    params[7] = np.nextafter(params[7], np.float32(1))
    return {**state, "params": params}


def test_a_last_bit_is_a_fault_in_one_class_and_tolerable_across_classes(muon: World) -> None:
    work = muon.rounds[1]
    trace, after = nudged(work, one_ulp)
    assert audit(muon, work, FIRST, trace).outcome == "fault"
    replayed = audit(muon, work, FIRST, trace, claimed_out=after, tolerance=WIDE)
    assert replayed.outcome == "tolerance"
    assert replayed.detail.startswith("params.norm ")
    tight = Tolerance("test", {**WIDE.bounds, "params.norm": 1e-12})
    refused = audit(muon, work, FIRST, trace, claimed_out=after, tolerance=tight)
    assert refused.outcome == "fault"
    assert refused.detail.endswith("over 1e-12")


def test_exact_needs_no_tolerance(muon: World) -> None:
    assert audit(muon, muon.rounds[1], FIRST, tolerance=WIDE).outcome == "exact"


def test_without_the_claimed_state_another_class_is_undecided(muon: World) -> None:
    work = muon.rounds[1]
    trace, _ = nudged(work, one_ulp)
    with pytest.raises(Undecided, match="differs across classes"):
        audit(muon, work, FIRST, trace, tolerance=WIDE)


def test_feedback_and_cursor_have_no_tolerance(muon: World) -> None:
    work = muon.rounds[1]
    for name in ("ef", "cursor"):

        def change(state: State, name: str = name) -> State:
            values = state[name].copy()
            values[0] += 1
            return {**state, name: values}

        trace, after = nudged(work, change)
        replayed = audit(muon, work, FIRST, trace, claimed_out=after, tolerance=WIDE)
        assert (replayed.outcome, replayed.detail) == ("fault", name)


def test_a_component_left_out_has_no_tolerance(muon: World) -> None:
    work = muon.rounds[1]
    trace, after = nudged(work, lambda state: {name: state[name] for name in state if name != "opt.v"})
    assert audit(muon, work, FIRST, trace, claimed_out=after, tolerance=WIDE).outcome == "fault"


def test_engines_share_nothing_between_replays(muon: World) -> None:
    """Segments in any order, on an engine that has just done something else."""
    engine = Engine(muon.spec, load_task(muon.spec.task.name))
    for segment in (COMPRESS, SECOND, ADOPT, FIRST):
        for round_ in (1, 0):
            work = muon.rounds[round_]
            checkpoint, batches = muon.checkpoints[round_], muon.batches(round_)
            state = work.states[segment]
            replayed = replay_segment(engine, muon.spec, work.trace, segment, state, checkpoint, batches)
            assert replayed.outcome == "exact"


def test_other_batches_than_the_workers_are_noticed(muon: World) -> None:
    """The auditor's own batches decide, not the digests in the trace."""
    trace = edited(muon.rounds[1], FIRST, 0, batch=sha256(b"chosen"))
    assert audit(muon, muon.rounds[1], FIRST, trace).detail == "step 0: batch"
