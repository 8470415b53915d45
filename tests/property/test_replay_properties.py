from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from attestrain.replay.compare import measure
from attestrain.train.state import State
from tests.unit.replay_world import World, honest_world

COMPONENTS = ("params", "opt.m", "opt.v", "opt.momentum")


@cache
def world() -> World:
    return honest_world("muon")


def nudged(state: State, name: str, place: int, factor: float) -> State:
    values = state[name].view(np.float32).copy()
    place %= values.size
    values[place] = np.float32(factor) * values[place] + np.float32(factor - 1)
    return {**state, name: values}


@given(st.sampled_from(COMPONENTS), st.integers(0, 10**6), st.floats(1.001, 100))
def test_no_single_value_moves_unseen(name: str, place: int, factor: float) -> None:
    before, after = world().rounds[1].states[1:3]
    claimed = nudged(after, name, place, factor)
    measured = measure(world().spec, before, claimed, after)
    assert max(value for metric, value in measured.items() if metric.startswith(name)) > 1e-5
    assert all(value == 0 for metric, value in measured.items() if metric.split(".")[:-1] != name.split("."))


@given(st.sampled_from(COMPONENTS), st.integers(0, 10**6), st.floats(1.01, 10), st.floats(2, 10))
def test_a_larger_error_never_measures_less(name: str, place: int, factor: float, more: float) -> None:
    before, after = world().rounds[1].states[1:3]
    small, large = (nudged(after, name, place, value) for value in (factor, factor * more))
    less, much = (measure(world().spec, before, state, after) for state in (small, large))
    assert all(much[metric] >= less[metric] for metric in less)
