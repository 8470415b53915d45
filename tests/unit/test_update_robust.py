"""Aggregation rules against slow oracles, and against the attacks that they are for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.record.names import Round, Worker
from attestrain.record.spec import AGGREGATES, Aggregate
from attestrain.update.aggregate import aggregate, aggregate_parts
from attestrain.update.arrays import Float64s
from attestrain.update.checkpoint import genesis
from attestrain.update.codec import DecodedUpdate, quantise
from attestrain.update.dense import Dense
from attestrain.update.fragments import Fragment, share
from attestrain.update.parts import CHUNK, Part
from attestrain.update.robust import centered, multi_krum, trimmed
from attestrain.update.screen import Screened
from tests.algorithms import make_aggregate
from tests.vectors.make_update import header_of, make_spec, make_values

Values = list[list[float]]
numbers = st.integers(-1000, 1000).map(lambda number: number / 64)
several = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(numbers, min_size=width, max_size=width), min_size=1, max_size=7)
)


def part(values: Sequence[float] | np.ndarray, factor: float = 1.0, tokens: int = 1) -> Part:
    array = np.array(values, dtype=np.float32)
    return Part(Dense(array), everything(len(array)), factor, tokens)


def everything(size: int) -> Fragment:
    return share(Layout((TensorSpec("w", (size,), Init("zeros")),)), 16, 1, 0)


def parts(rows: Sequence[Sequence[float] | np.ndarray]) -> list[Part]:
    return [part(row) for row in rows]


def combined(rule_: Aggregate, them: Sequence[Part]) -> Float64s:
    return aggregate_parts(rule_, len(them[0].values), them)


@settings(max_examples=200)
@given(several, st.sampled_from(["0", "0.1", "0.2", "0.34", "0.5"]))
def test_trimmed_mean_one_coordinate_at_a_time(rows: Values, trim: str) -> None:
    found = trimmed(parts(rows), {"trim": trim})
    cut = min(math.floor(Fraction(trim) * len(rows)), (len(rows) - 1) // 2)
    for at, column in enumerate(zip(*rows, strict=True)):
        kept = sorted(column)[cut : len(rows) - cut]
        assert found[at] == sum(kept) / len(kept)


@settings(max_examples=200)
@given(several, st.integers(0, 2), st.integers(1, 4))
def test_multi_krum_by_definition(rows: Values, faulty: int, choose: int) -> None:
    found = multi_krum(parts(rows), {"faulty": str(faulty), "choose": str(choose)})
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
    found = centered(parts(rows), {"radius": radius, "iterations": str(iterations)})
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


def world(codec: str, count: int) -> dict[Worker, DecodedUpdate]:
    spec = make_spec(codec)
    checkpoint = genesis(spec)
    return {
        Worker(i): quantise(spec, header_of(spec, checkpoint, i), make_values(76, f"robust {i}")) for i in range(count)
    }


def together(name: str, updates: dict[Worker, DecodedUpdate]) -> Float64s:
    spec = make_spec(aggregate=make_aggregate(name))
    found = aggregate(spec, Round(0), updates, {worker: Screened(1.0, "kept") for worker in updates})
    assert found is not None
    return found


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


@given(several, st.data())
def test_tokens_weigh(rows: Values, data: st.DataObject) -> None:
    tokens = data.draw(st.lists(st.integers(1, 2**20), min_size=len(rows), max_size=len(rows)))
    weighed = [part(row, tokens=count) for row, count in zip(rows, tokens, strict=True)]
    found = combined(make_aggregate("tokens"), weighed)
    for at, column in enumerate(zip(*rows, strict=True)):
        exact = sum((Fraction(value) * count for value, count in zip(column, tokens, strict=True)), Fraction(0))
        assert found[at] == float(exact) / float(sum(tokens))  # short numbers: products and sums are exact


@pytest.mark.parametrize("tokens", [1, 2048, 2**53 - 1])
def test_equal_tokens_make_it_the_plain_mean_bit_for_bit(tokens: int) -> None:
    them = [part(make_values(76, f"equal {i}"), 1 - i / 7, tokens) for i in range(3)]
    assert combined(make_aggregate("tokens"), them).tobytes() == combined(make_aggregate("mean"), them).tobytes()


def test_ten_thousand_workers_with_all_the_tokens_a_receipt_can_count() -> None:
    weights = [2**53 - 1, *[2**53 - 2] * 9_999]
    found = combined(make_aggregate("tokens"), [part([1.0], tokens=weight) for weight in weights])
    assert found[0] == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("name", ["mean", "tokens", "contributors"])
@given(st.integers(2, 3), st.lists(st.integers(0, 2), min_size=1, max_size=5), st.data())
def test_shares_divide_by_those_whose_share_has_the_value(
    name: str, shares: int, turns: list[int], data: st.DataObject
) -> None:
    layout = Layout((TensorSpec("a", (37,), Init("zeros")), TensorSpec("b", (21,), Init("zeros"))))
    them, seen = [], []
    for turn in turns:
        place = share(layout, 16, shares, turn % shares)
        size, tokens = place.layout.parameters, data.draw(st.integers(1, 9))
        values = data.draw(st.lists(st.sampled_from([0.0, 0.5, -3.0]), min_size=size, max_size=size))
        them.append(Part(Dense(np.array(values, dtype=np.float32)), place, 1.0, tokens))
        spots = [at for start, end in place.spans for at in range(start, end)]
        seen.append((dict(zip(spots, values, strict=True)), tokens if name == "tokens" else 1))
    found = aggregate_parts(make_aggregate(name), 58, them)
    for at in range(58):
        sent = [(values[at], weight) for values, weight in seen if at in values]
        if name == "contributors":
            sent = [pair for pair in sent if pair[0]]
        total, weight = sum(value * weight for value, weight in sent), sum(weight for _, weight in sent)
        assert found[at] == pytest.approx(total / max(weight, 1), rel=1e-15)


@pytest.mark.parametrize("name", AGGREGATES)
def test_factors_multiply_values_before_anything_else(name: str) -> None:
    columns = [make_values(76, f"factor {i}") for i in range(5)]
    factors = [1.0, 0.5, 0.25, 1.0, 0.125]
    scaled = [part(values, factor) for values, factor in zip(columns, factors, strict=True)]
    plain = [part(values * np.float32(factor)) for values, factor in zip(columns, factors, strict=True)]
    assert combined(make_aggregate(name), scaled).tobytes() == combined(make_aggregate(name), plain).tobytes()


@pytest.mark.parametrize("name", AGGREGATES)
def test_parts_are_not_written_to(name: str) -> None:
    columns = [make_values(76, f"kept {i}") for i in range(5)]
    combined(make_aggregate(name), [part(values, 0.7) for values in columns])
    assert all(np.array_equal(values, make_values(76, f"kept {i}")) for i, values in enumerate(columns))


@pytest.mark.parametrize("name", AGGREGATES)
def test_chunks_do_not_show(name: str) -> None:
    """What repeats at a distance that no chunk divides comes out repeated."""
    period, times = 997, CHUNK // 997 + 40
    short = [part(make_values(period, f"chunk {i}"), 1 - i / 8, 8 + i) for i in range(5)]
    long = [part(np.tile(one.values, times), one.factor, one.tokens) for one in short]
    assert len(long[0].values) > CHUNK
    assert (
        combined(make_aggregate(name), long).tobytes()
        == np.tile(combined(make_aggregate(name), short), times).tobytes()
    )


@given(several, st.sampled_from(["trimmed", "centered", "multi-krum"]), st.randoms(use_true_random=False))
def test_workers_that_agree_are_followed(rows: Values, name: str, random: Random) -> None:
    """More than half say the same: robust rules then say it too, whoever says what."""
    count = len(rows)
    crowd = [*rows, *[rows[0]] * (count + 3)]
    random.shuffle(crowd)
    faulty = {"multi-krum": {"faulty": str(count), "choose": "1"}, "trimmed": {"trim": "0.5"}}.get(name, {})
    found = combined(make_aggregate(name, **faulty), parts(crowd))
    assert found.tolist() == rows[0]


def test_krums_ties_go_to_the_lower_worker() -> None:
    corners = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    found = multi_krum(parts(corners), {"faulty": "1", "choose": "1"})
    assert found.tolist() == corners[0]
    assert multi_krum(parts(corners), {"faulty": "1", "choose": "3"}).tolist() == [1 / 3, 1 / 3]


def test_one_huge_value_does_not_hide_the_distances_of_the_others() -> None:
    """With one unit for all distances a liar could cut them to zero, and ties would choose by number."""
    rows = [[9.0, 0.0], [1.0, 0.0], [1.25, 0.0], [1.125, 0.0], [0.0, 2.0**105]]
    assert multi_krum(parts(rows), {"faulty": "1", "choose": "1"}).tolist() == [1.125, 0.0]


@pytest.mark.parametrize("name", ["trimmed", "centered", "multi-krum"])
@pytest.mark.parametrize("attack", ["flipped", "scaled", "outlier"])
def test_one_of_five_cannot_move_a_robust_aggregate_as_it_moves_the_mean(name: str, attack: str) -> None:
    common = make_values(76, "common").astype(np.float64)
    honest = [common + make_values(76, f"own {i}").astype(np.float64) / 8 for i in range(4)]
    lie = {"flipped": -20 * common, "scaled": 1000 * common, "outlier": make_values(76, "noise") * 500.0}[attack]
    robust = combined(make_aggregate(name), parts([*honest, lie]))
    target = sum(honest) / 4
    off = np.linalg.norm(robust - target)
    assert off < 0.35 * np.linalg.norm(target)
    assert off < 0.1 * np.linalg.norm((sum(honest) + lie) / 5 - target)
