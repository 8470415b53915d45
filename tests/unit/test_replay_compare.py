from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from attestrain.record.trace import StepRecord
from attestrain.replay.compare import METRICS, Tolerance, measure, measure_steps
from attestrain.train.muon import group_by_shape
from attestrain.train.schedule import float_bits
from attestrain.train.settings import muon_tensors
from attestrain.train.state import State, state_from_blobs
from tests.unit.replay_world import World, honest_world

FIRST, SECOND = 1, 2


@pytest.fixture(scope="module", params=["muon", "adamw", "sgd"])
def world(request: pytest.FixtureRequest) -> World:
    return honest_world(request.param)


@pytest.fixture(scope="module")
def adamw() -> World:
    return honest_world("adamw")


def ends(world: World) -> tuple[State, State]:
    """States around an inner segment."""
    states = world.rounds[1].states
    return states[FIRST], states[SECOND]


def with_values(state: State, name: str, change) -> State:
    values = state[name].view(np.float32).copy()
    change(values)
    return {**state, name: values}


def test_equal_states_measure_zero(world: World) -> None:
    before, after = ends(world)
    measured = measure(world.spec, before, after, after)
    assert set(measured.values()) == {0.0}
    assert set(measured) <= set(METRICS)
    names = {name.rpartition(".")[0] for name in measured}
    assert names == {name for name in after if name not in ("cursor", "ef")}


def test_parameters_are_measured_against_the_update(adamw: World) -> None:
    before, after = ends(adamw)
    update = after["params"].astype(np.float64) - before["params"]

    def scale(values: np.ndarray) -> None:
        values[:] = (before["params"] + 1.5 * update).astype(np.float32)

    measured = measure(adamw.spec, before, with_values(after, "params", scale), after)
    assert measured["params.norm"] == pytest.approx(0.5, rel=1e-3)
    assert measured["params.max"] == pytest.approx(0.5, rel=1e-3)


def test_a_huge_claim_makes_no_room(world: World) -> None:
    """Scales come from the replay: claiming a thousandfold state is a thousandfold error, not a small one."""
    before, after = ends(world)
    for name in after.keys() - {"cursor", "ef"}:
        claimed = with_values(after, name, lambda values: np.multiply(values, 1000, out=values))
        assert max(measure(world.spec, before, claimed, after).values()) > 20, name


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_beyond_every_bound(world: World, value: float) -> None:
    before, after = ends(world)
    everything = Tolerance("test", {name: 1e300 for name in METRICS})
    for name in after.keys() - {"cursor", "ef"}:

        def spoil(values: np.ndarray) -> None:
            values[3] = value

        measured = measure(world.spec, before, with_values(after, name, spoil), after)
        assert any(metric.startswith(name) for metric in everything.exceeded(measured)), name


def test_negative_second_moments_are_beyond_every_bound(adamw: World) -> None:
    before, after = ends(adamw)

    def negate(values: np.ndarray) -> None:
        values[:] = -values

    measured = measure(adamw.spec, before, with_values(after, "opt.v", negate), after)
    assert measured["opt.v.effect"] == np.inf


def zeroed(state: State, share: float) -> State:
    """The smallest second moments zeroed, as many as ``share`` of the Euclidean norm hides."""
    v = state["opt.v"].copy()
    order = np.argsort(v, kind="stable")
    sums = np.sqrt(np.cumsum(np.square(v[order].astype(np.float64))))
    v[order[sums <= share * sums[-1]]] = 0
    return {**state, "opt.v": v}


def test_doctored_second_moments_hide_from_a_norm_and_not_from_their_effect(adamw: World) -> None:
    before, after = ends(adamw)
    claimed = zeroed(after, 1e-4)
    v, left = after["opt.v"].astype(np.float64), claimed["opt.v"]
    gone = np.count_nonzero(v) - np.count_nonzero(left)
    assert gone > 20
    assert np.linalg.norm(left - v) <= 1.001e-4 * np.linalg.norm(v)
    measured = measure(adamw.spec, before, claimed, after)
    assert measured["opt.v.effect"] > 100
    assert measured["opt.v.spread"] > 1
    assert measured["opt.v.max"] < 1e-2


def test_a_single_doctored_moment_shows(adamw: World) -> None:
    before, after = ends(adamw)
    place = int(np.argmax(after["opt.v"] > 0))

    def clear(values: np.ndarray) -> None:
        values[place] = 0

    assert measure(adamw.spec, before, with_values(after, "opt.v", clear), after)["opt.v.effect"] > 10


def test_momentum_is_measured_in_the_worst_tensor() -> None:
    """Halving the smallest tensor is an error of a half, however little of the whole it is."""
    world = honest_world("muon")
    before, after = ends(world)
    tensors = [tensor for group in group_by_shape(muon_tensors(world.spec.layout)) for tensor in group]
    edges = np.cumsum([0, *(tensor.size for tensor in tensors)])
    norms = [np.linalg.norm(after["opt.momentum"][start:end]) for start, end in pairwise(edges)]
    least = int(np.argmin(norms))

    def halve(values: np.ndarray) -> None:
        values[edges[least] : edges[least + 1]] *= 0.5

    measured = measure(world.spec, before, with_values(after, "opt.momentum", halve), after)
    assert norms[least] < 0.5 * np.linalg.norm(norms)
    assert measured["opt.momentum.norm"] == pytest.approx(0.5)


def test_step_records_are_measured_relatively() -> None:
    honest = [StepRecord(bytes(32), float_bits(2.0), float_bits(0.5), 0)] * 2
    other = [honest[0], replace(honest[1], loss=float_bits(2.5), grad_norm=float_bits(0.25))]
    assert measure_steps(other, honest) == {"steps.loss": 0.25, "steps.grad_norm": 0.5}
    nan = [honest[0], replace(honest[1], loss=0x7FC00000)]
    assert measure_steps(nan, honest)["steps.loss"] == np.inf


def test_a_measure_without_a_bound_tolerates_nothing() -> None:
    tolerance = Tolerance("test", {"params.norm": 1e-4})
    assert tolerance.exceeded({"params.norm": 1e-5, "params.max": 1e-30}) == ["params.max"]
    assert tolerance.exceeded({"params.norm": float("nan")}) == ["params.norm"]
    assert tolerance.exceeded({"params.norm": 1e-4, "params.max": 0.0}) == []


OTHER_CLASS = """
import sys
import numpy as np
from attestrain.train.state import state_to_blobs
from tests.unit.replay_world import honest_world, tiny_spec
from attestrain.train.engine import Engine
from attestrain.train.state import state_from_blobs
from attestrain.train.task import load_task
from tests.unit.replay_world import batch
inner, source, target = sys.argv[1:]
spec = tiny_spec(inner)
with np.load(source) as saved:
    state = state_from_blobs(spec, {name: saved[name].tobytes() for name in spec.state})
steps = spec.schedule.steps_of(1)
rates = [spec.inner.rate_bits(spec.schedule.steps + step) for step in steps]
after, _ = Engine(spec, load_task(spec.task.name)).inner(state, [batch(1, step) for step in steps], rates)
np.savez(target, **after)
"""


def in_class(world: World, folder, **variables: str) -> State:
    """What a machine of another class makes of the first inner segment of round 1."""
    source, target = folder / "before.npz", folder / "after.npz"
    np.savez(source, **world.rounds[1].states[FIRST])
    command = [sys.executable, "-c", OTHER_CLASS, world.spec.inner.name, str(source), str(target)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": os.getcwd(), **variables})
    with np.load(target) as saved:
        return state_from_blobs(world.spec, {name: saved[name].tobytes() for name in world.spec.state})


def test_other_kernels_drift_little_and_a_skipped_step_much(world: World, tmp_path) -> None:
    before, after = ends(world)
    other = in_class(world, tmp_path, ATEN_CPU_CAPABILITY="default", MKL_CBWR="COMPATIBLE")
    honest = measure(world.spec, before, other, after)
    steps = world.spec.schedule.steps_of(FIRST)
    rates = [world.spec.inner.rate_bits(world.spec.schedule.steps + step) for step in steps]
    lazy, _ = world.engine.inner(before, world.batches(1)(steps)[:-1], rates[:-1])
    cheating = measure(world.spec, before, lazy, after)
    for name in ("params.norm", "params.max"):
        assert honest[name] < 1e-4
        assert cheating[name] > 1e-2
