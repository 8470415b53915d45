from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from attestrain.record.names import Worker
from attestrain.update.aggregate import mean
from attestrain.update.checkpoint import genesis
from attestrain.update.codec import quantise
from attestrain.update.outer import LARGEST, outer_step
from attestrain.update.screen import Screened
from tests.algorithms import make_outer
from tests.vectors.make_update import CODECS, header_of, make_spec, make_values

PARAMS, MOMENTUM = make_values(76, "params", unit=-7), make_values(76, "momentum", unit=-9)
AGGREGATE = make_values(76, "aggregate").astype(np.float64) / 3


def stepped(name: str, rate: str, momentum: str) -> tuple[np.ndarray, np.ndarray]:
    spec = dataclasses.replace(make_spec(), outer=make_outer(name, rate, momentum=momentum))
    return outer_step(spec, float(rate), PARAMS, MOMENTUM, AGGREGATE)


@pytest.mark.parametrize("name", ["sgd", "nesterov"])
def test_without_momentum_both_are_plain_descent(name: str) -> None:
    params, momentum = stepped(name, "0.7", "0")
    assert np.array_equal(params, (PARAMS - 0.7 * AGGREGATE).astype(np.float32))
    assert np.array_equal(momentum, MOMENTUM)


def test_sgd_with_momentum_one_value_at_a_time() -> None:
    params, momentum = stepped("sgd", "0.7", "0.9")
    for i in range(76):
        moved = 0.9 * float(MOMENTUM[i]) + float(AGGREGATE[i])
        assert momentum[i] == np.float32(moved)
        assert params[i] == np.float32(float(PARAMS[i]) - 0.7 * moved)


def test_nesterov_one_value_at_a_time() -> None:
    params, momentum = stepped("nesterov", "0.8", "0.5")
    for i in range(76):
        moved = 0.5 * float(MOMENTUM[i]) + float(AGGREGATE[i])
        assert momentum[i] == np.float32(moved)
        assert params[i] == np.float32(float(PARAMS[i]) - 0.8 * (float(AGGREGATE[i]) + 0.5 * moved))


def test_what_is_stored_stops_at_the_largest_float32() -> None:
    spec = dataclasses.replace(make_spec(), outer=make_outer("sgd", "10", momentum="1"))
    huge = np.full(76, LARGEST, dtype=np.float32)
    params, momentum = outer_step(spec, 10.0, -huge, huge, np.full(76, 2.0**106))
    assert np.all(params == -huge)
    assert np.all(momentum == huge)


@pytest.mark.parametrize("codec", CODECS)
def test_mean_is_the_exact_one_within_float64(codec: str) -> None:
    spec = make_spec(codec)
    checkpoint = genesis(spec)
    updates = {
        Worker(i): quantise(spec, header_of(spec, checkpoint, i), make_values(76, f"mean {i}")) for i in range(3)
    }
    screened = {
        Worker(0): Screened(1.0, "kept"),
        Worker(1): Screened(0.0, "zero"),
        Worker(2): Screened(0.3, "clipped"),
    }
    found = mean(updates, screened)
    assert found is not None
    first, third = updates[Worker(0)].values(), updates[Worker(2)].values()
    for i in range(76):
        exact = (Fraction(float(first[i])) + Fraction(0.3) * Fraction(float(third[i]))) / 2
        assert abs(Fraction(float(found[i])) - exact) <= abs(exact) / 2**50


def test_mean_of_nobody_is_none() -> None:
    assert mean({}, {}) is None


def test_mean_adds_in_ascending_order_whatever_the_input_order() -> None:
    spec = make_spec("dense")
    checkpoint = genesis(spec)
    updates = {Worker(i): quantise(spec, header_of(spec, checkpoint, i), make_values(76, f"{i}") / 3) for i in range(5)}
    screened = {worker: Screened(1 / 3, "clipped") for worker in updates}
    backward = dict(reversed(updates.items()))
    assert np.array_equal(mean(updates, screened), mean(backward, screened))
