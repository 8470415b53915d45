"""Aggregation rules against slow oracles, and against the attacks that they are for."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attestrain.record.names import Worker
from attestrain.record.spec import AGGREGATES, Aggregate
from attestrain.update.aggregate import Part, aggregate_parts
from attestrain.update.arrays import Float64s
from attestrain.update.checkpoint import genesis
from attestrain.update.codec import DecodedUpdate, quantise
from attestrain.update.fragments import share
from attestrain.update.robust import centered, multi_krum, squared_norm, trimmed
from attestrain.update.settings import aggregate_settings
from tests.vectors.make_update import header_of, make_spec, make_values

Values = list[list[float]]
numbers = st.integers(-1000, 1000).map(lambda number: number / 64)
several = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(numbers, min_size=width, max_size=width), min_size=1, max_size=7)
)


def arrays(rows: Values) -> list[np.ndarray]:
    return [np.array(row, dtype=np.float64) for row in rows]


@settings(max_examples=200)
@given(several, st.sampled_from(["0", "0.1", "0.2", "0.34", "0.5"]))
def test_trimmed_mean_one_coordinate_at_a_time(rows: Values, trim: str) -> None:
    found = trimmed(arrays(rows), {"trim": trim})
    cut = min(math.floor(Fraction(trim) * len(rows)), (len(rows) - 1) // 2)
    for at, column in enumerate(zip(*rows, strict=True)):
        kept = sorted(column)[cut : len(rows) - cut]
        assert found[at] == sum(kept) / len(kept)


@settings(max_examples=200)
@given(several, st.integers(0, 2), st.integers(1, 4))
def test_multi_krum_by_definition(rows: Values, faulty: int, choose: int) -> None:
    found = multi_krum(arrays(rows), {"faulty": str(faulty), "choose": str(choose)})
    near = min(max(1, len(rows) - faulty - 2), len(rows) - 1)

    def distance(one: int, other: int) -> Fraction:
        return sum(((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(rows[one], rows[other], strict=True)), Fraction(0))

    scores = []
    for one in range(len(rows)):
        away = sorted(distance(one, other) for other in range(len(rows)) if other != one)
        scores.append((sum(away[:near], Fraction(0)), one))
    chosen = sorted(one for _, one in sorted(scores)[:choose])
    for at in range(len(rows[0])):
        total = 0.0
        for one in chosen:
            total += rows[one][at]
        assert found[at] == total / len(chosen)


@settings(max_examples=100)
@given(several, st.sampled_from(["0.5", "1", "3"]), st.integers(1, 4))
def test_centered_clipping_by_definition(rows: Values, radius: str, iterations: int) -> None:
    found = centered(arrays(rows), {"radius": radius, "iterations": str(iterations)})
    values = np.array(rows)
    middle = (len(rows) - 1) // 2
    centre = np.sort(values, axis=0)[middle : len(rows) - middle].mean(axis=0)
    for _ in range(iterations):
        moves = values - centre
        norms = np.sqrt((moves**2).sum(axis=1))
        limit = float(radius) * np.sort(norms)[(len(rows) - 1) // 2]
        shares = np.minimum(1, limit / np.maximum(norms, 1e-300))
        centre = centre + (moves * shares[:, None]).mean(axis=0)
    assert np.allclose(found, centre, rtol=1e-5, atol=1e-5)  # lengths are cut to 24 bits


@given(st.lists(numbers, max_size=20))
def test_the_squared_norm_of_short_numbers_is_exact(row: list[float]) -> None:
    assert squared_norm(np.array(row, dtype=np.float64)) == sum((Fraction(x) ** 2 for x in row), Fraction(0))


def world(codec: str, count: int) -> dict[Worker, DecodedUpdate]:
    spec = make_spec(codec)
    checkpoint = genesis(spec)
    return {
        Worker(i): quantise(spec, header_of(spec, checkpoint, i), make_values(76, f"robust {i}")) for i in range(count)
    }


def together(name: str, updates: dict[Worker, DecodedUpdate], tokens: int = 1) -> Float64s:
    place = share(make_spec().layout, 16, 1, 0)
    parts = [Part(updates[worker].values(), place, 1.0, tokens) for worker in sorted(updates)]
    return aggregate_parts(rule(name), 76, parts)


def rule(name: str, **overrides: str) -> Aggregate:
    return Aggregate(name, aggregate_settings(name, overrides))


@pytest.mark.parametrize("name", AGGREGATES)
def test_the_order_of_arrival_plays_no_part(name: str) -> None:
    updates = world("dense", 4)
    found = {together(name, dict(order)).tobytes() for order in itertools.permutations(updates.items())}
    assert len(found) == 1


@pytest.mark.parametrize("name", AGGREGATES)
def test_one_update_alone_is_the_aggregate(name: str) -> None:
    updates = world("ternary", 1)
    assert np.array_equal(together(name, updates), updates[Worker(0)].values())


def test_contributors_divide_by_those_that_sent_a_value() -> None:
    updates = world("ternary", 3)
    found = together("contributors", updates)
    columns = np.stack([update.values() for update in updates.values()]).astype(np.float64)
    for at in range(76):
        sent = [value for value in columns[:, at] if value]
        assert found[at] == (math.fsum(sent) / len(sent) if sent else 0.0)


def test_equal_tokens_weigh_equally() -> None:
    updates = world("dense", 3)
    assert np.allclose(together("mean", updates, 2048), together("tokens", updates, 2048), rtol=1e-12)


@pytest.mark.parametrize("name", ["trimmed", "centered", "multi-krum"])
@pytest.mark.parametrize("attack", ["flipped", "scaled", "outlier"])
def test_one_of_five_cannot_move_a_robust_aggregate_as_it_moves_the_mean(name: str, attack: str) -> None:
    common = make_values(76, "common").astype(np.float64)
    honest = [common + make_values(76, f"own {i}").astype(np.float64) / 8 for i in range(4)]
    lie = {"flipped": -20 * common, "scaled": 1000 * common, "outlier": make_values(76, "noise") * 500.0}[attack]
    settings_ = aggregate_settings(name, {})
    robust = {"trimmed": trimmed, "centered": centered, "multi-krum": multi_krum}[name]([*honest, lie], settings_)
    target = sum(honest) / 4
    off = np.linalg.norm(robust - target)
    assert off < 0.35 * np.linalg.norm(target)
    assert off < 0.1 * np.linalg.norm((sum(honest) + lie) / 5 - target)
