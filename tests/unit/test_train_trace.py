from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest

from attestrain.record.blob import blob_ref
from attestrain.record.trace import Trace, state_root
from attestrain.train.engine import Engine
from attestrain.train.llama import LlamaTask
from attestrain.train.naming import LEAST_BESIDE, worth_a_thread
from attestrain.train.state import genesis_state, state_from_blobs, state_refs, state_to_blobs
from attestrain.train.trace import RoundInputs, RoundWork, SegmentWork, run_round, run_segment
from attestrain.update.header import read_opening
from attestrain.update.initial import initial_params
from tests.training import make_inputs, make_spec


def worked(codec: str = "ternary") -> tuple[Engine, RoundInputs, RoundWork]:
    spec = make_spec(codec=codec)
    engine = Engine(spec, LlamaTask())
    inputs = make_inputs(engine, initial_params(spec), number=1, worker=1)
    return engine, inputs, run_round(engine, inputs, genesis_state(spec))


def test_trace_has_the_segments_of_the_schedule() -> None:
    engine, inputs, work = worked()
    trace = work.trace
    assert [segment.kind for segment in trace.segments] == ["adopt", "inner", "inner", "inner", "compress"]
    assert [len(segment.steps) for segment in trace.segments] == [0, 2, 2, 1, 0]
    steps = [step for segment in trace.segments for step in segment.steps]
    assert [step.rate for step in steps] == [engine.spec.inner.rate_bits(5 + i) for i in range(5)]
    assert [step.batch for step in steps] == [batch.digest for batch in inputs.batches(range(5))]
    assert (trace.run, trace.branch, trace.round, trace.worker) == (engine.spec.run_id, 0, 1, 1)
    assert Trace.from_bytes(trace.to_bytes()) == trace


def test_trace_names_the_states_and_the_update() -> None:
    engine, inputs, work = worked()
    assert [state_refs(state) for state in work.states] == list(work.trace.states)
    assert work.trace.update == blob_ref(work.update)
    header = read_opening(work.update).header
    assert (header.run, header.round, header.worker, header.base) == (engine.spec.run_id, 1, 1, inputs.base)


@pytest.mark.parametrize("codec", ["dense", "ternary", "two-bit"])
def test_every_segment_replays_alone_from_stored_bytes(codec: str) -> None:
    engine, inputs, work = worked(codec)
    elsewhere = Engine(engine.spec, LlamaTask())
    for index in reversed(range(len(work.trace.segments))):
        stored = state_from_blobs(engine.spec, state_to_blobs(work.states[index]))
        again = run_segment(elsewhere, inputs, index, stored)
        assert again.segment == work.trace.segments[index]
        assert state_refs(again.state) == work.trace.states[index + 1]
        assert again.update == (work.update if again.segment.kind == "compress" else None)


def test_doctored_state_gives_other_refs() -> None:
    engine, inputs, work = worked()
    for index, component in [(0, "opt.v"), (2, "opt.momentum"), (4, "ef")]:
        values = work.states[index][component].copy()
        values[-1] += np.float32(1)
        again = run_segment(engine, inputs, index, {**work.states[index], component: values})
        assert state_root(state_refs(again.state)) != state_root(work.trace.states[index + 1])


def test_doctored_inputs_give_other_refs() -> None:
    engine, inputs, work = worked()
    other = dataclasses.replace(inputs, batches=lambda steps: inputs.batches(range(steps.start + 1, steps.stop + 1)))
    assert state_refs(run_segment(engine, other, 1, work.states[1]).state) != work.trace.states[2]
    other = dataclasses.replace(inputs, checkpoint=inputs.checkpoint + np.float32(1))
    assert state_refs(run_segment(engine, other, 0, work.states[0]).state) != work.trace.states[1]


def test_rounds_chain_through_the_last_state() -> None:
    engine, _, work = worked()
    following = run_round(engine, make_inputs(engine, initial_params(engine.spec), number=2), work.states[-1])
    assert following.trace.states[0] == work.trace.states[-1]
    assert following.trace.states[1]["ef"] == work.trace.states[-1]["ef"]
    assert following.trace.states[1]["opt.momentum"] == work.trace.states[-1]["opt.momentum"]


def test_observer_sees_every_segment_and_may_stop() -> None:
    spec = make_spec()
    engine = Engine(spec, LlamaTask())
    seen: list[tuple[int, str]] = []

    def watch(index: int, work: SegmentWork) -> None:
        seen.append((index, work.segment.kind))
        if index == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_round(engine, make_inputs(engine, initial_params(spec)), genesis_state(spec), watch)
    assert seen == [(0, "adopt"), (1, "inner"), (2, "inner")]


def test_naming_states_beside_changes_nothing() -> None:
    spec = make_spec(steps=8)
    engine = Engine(spec, LlamaTask())
    inputs, seen = make_inputs(engine, initial_params(spec)), list[int]()
    at_once = run_round(engine, inputs, genesis_state(spec), beside=False)
    beside = run_round(engine, inputs, genesis_state(spec), lambda index, work: seen.append(index), beside=True)
    assert beside.trace == at_once.trace
    assert [state_refs(state) for state in beside.states] == list(beside.trace.states)
    assert seen == list(range(spec.schedule.segments))


def test_what_stops_a_round_ends_its_thread() -> None:
    spec = make_spec()
    engine = Engine(spec, LlamaTask())
    threads = threading.active_count()

    def stop(index: int, work: SegmentWork) -> None:
        assert threading.active_count() == threads + 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_round(engine, make_inputs(engine, initial_params(spec)), genesis_state(spec), stop, beside=True)
    assert threading.active_count() == threads


def test_small_states_are_named_at_once() -> None:
    spec = make_spec()
    assert sum(spec.state.values()) < LEAST_BESIDE
    assert not worth_a_thread(Engine(spec, LlamaTask()))


def test_rounds_have_no_other_segments() -> None:
    engine, inputs, work = worked()
    for index in (-1, 5):
        with pytest.raises(IndexError):
            run_segment(engine, inputs, index, work.states[0])
