"""How workers take checkpoints: whole, blended, a round late, and fragment by fragment."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from attestrain.record.names import Round
from attestrain.record.spec import Overlap, RunSpec
from attestrain.train.adoption import adopted, drift
from attestrain.train.settings import state_sizes
from attestrain.train.state import State, counter, counter_of, genesis_state
from attestrain.update.fragments import fragment_of
from tests.training import make_spec


def overlapped(fragments: int = 1, delay: int = 0, blend: str = "0", inner: str = "sgd") -> RunSpec:
    spec = make_spec(inner)
    overlap = Overlap(fragments, 1, delay, blend)
    return dataclasses.replace(
        spec, overlap=overlap, state=state_sizes(spec.layout, spec.inner.name, spec.codec, overlap)
    )


def values(spec: RunSpec, key: int) -> np.ndarray:
    return np.random.default_rng(key).standard_normal(spec.layout.parameters).astype(np.float32)


def trained(state: State, params: np.ndarray) -> State:
    return {**state, "params": params, "cursor": counter(counter_of(state, "cursor") + 5)}


@pytest.mark.parametrize(("fragments", "delay"), [(1, 0), (1, 1), (3, 0), (3, 1)])
def test_whoever_is_new_takes_the_whole_checkpoint(fragments: int, delay: int) -> None:
    spec = overlapped(fragments, delay, "0.5")
    state = adopted(spec, genesis_state(spec), values(spec, 1), Round(7))
    assert np.array_equal(state["params"], values(spec, 1))
    assert not drift(spec, state, values(spec, 1)).any()


@pytest.mark.parametrize(("blend", "share"), [("0", 0.0), ("0.25", 0.25), ("1", 1.0)])
def test_a_share_of_the_own_drift_is_kept(blend: str, share: float) -> None:
    spec = overlapped(blend=blend)
    state = trained(adopted(spec, genesis_state(spec), values(spec, 1), Round(0)), values(spec, 2))
    after = adopted(spec, state, values(spec, 3), Round(1))
    expected = values(spec, 3) + np.float32(share) * (values(spec, 2) - values(spec, 3))
    assert np.array_equal(after["params"], expected)
    assert np.array_equal(drift(spec, after, values(spec, 3)), values(spec, 3) - after["params"].view(np.float32))


def test_with_a_delay_the_drift_of_the_last_round_stays_and_counts_once() -> None:
    spec = overlapped(delay=1, blend="1")
    state = trained(adopted(spec, genesis_state(spec), values(spec, 1), Round(0)), values(spec, 2))
    sent = drift(spec, state, values(spec, 1))
    assert np.array_equal(sent, values(spec, 1) - values(spec, 2))
    after = adopted(spec, state, values(spec, 3), Round(1))
    assert np.array_equal(after["params"], values(spec, 3) + (values(spec, 2) - values(spec, 1)))
    assert not drift(spec, after, values(spec, 3)).any()


def test_only_the_fragments_synchronised_since_are_taken() -> None:
    spec = overlapped(fragments=3)
    state = trained(adopted(spec, genesis_state(spec), values(spec, 1), Round(4)), values(spec, 2))
    after = adopted(spec, state, values(spec, 3), Round(6))
    expected = values(spec, 2)
    for number in (4, 5):
        part = fragment_of(spec, Round(number))
        expected = part.put(expected, part.take(values(spec, 3)))
    assert np.array_equal(after["params"], expected)
    assert counter_of(after, "synced") == 6


def test_who_was_away_for_long_takes_every_fragment_once() -> None:
    spec = overlapped(fragments=3, blend="0.5")
    state = trained(adopted(spec, genesis_state(spec), values(spec, 1), Round(0)), values(spec, 2))
    after = adopted(spec, state, values(spec, 3), Round(100))
    expected = values(spec, 3) + np.float32(0.5) * (values(spec, 2) - values(spec, 3))
    assert np.array_equal(after["params"], expected)


def test_gradients_begin_anew_and_their_mean_is_the_update() -> None:
    spec = overlapped(inner="gradient")
    state = adopted(spec, genesis_state(spec), values(spec, 1), Round(0))
    state = {**trained(state, values(spec, 1)), "opt.sum": values(spec, 5)}
    assert np.array_equal(drift(spec, state, values(spec, 1)), values(spec, 5) / np.float32(spec.schedule.steps))
    assert not adopted(spec, state, values(spec, 3), Round(1))["opt.sum"].any()
