from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.record.names import Round, Worker
from attestrain.record.spec import OUTERS
from attestrain.update.aggregate import aggregate
from attestrain.update.blocks import CHUNK
from attestrain.update.checkpoint import genesis
from attestrain.update.codec import quantise
from attestrain.update.outer import LARGEST, Step, memory_values, outer_step
from attestrain.update.screen import Screened
from tests.algorithms import make_outer
from tests.vectors.make_update import CODECS, header_of, make_spec, make_values

PARAMS, MOMENTUM = make_values(76, "params", unit=-7), make_values(76, "momentum", unit=-9)
AGGREGATE = make_values(76, "aggregate").astype(np.float64) / 3


def step_of(name: str, rate: str, number: int = 1, **settings: str) -> Step:
    return Step(make_outer(name, rate, **settings), float(rate), number, make_spec().layout)


def stepped(name: str, rate: str, momentum: str) -> tuple[np.ndarray, np.ndarray]:
    return outer_step(step_of(name, rate, momentum=momentum), PARAMS, MOMENTUM, AGGREGATE)


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
    huge = np.full(76, LARGEST, dtype=np.float32)
    params, momentum = outer_step(step_of("sgd", "10", momentum="1"), -huge, huge, np.full(76, 2.0**106))
    assert np.all(params == -huge)
    assert np.all(momentum == huge)


MIXED = Layout(
    (
        TensorSpec("a", (3, 5), Init("zeros")),
        TensorSpec("b", (7, CHUNK // 7 + 1), Init("zeros")),
        TensorSpec("c", (CHUNK + 5,), Init("zeros")),
        TensorSpec("d", (2,), Init("zeros")),
        TensorSpec("e", (1, 1, 4), Init("zeros")),
    )
)
"""Tensors that decay and tensors that do not, some longer than a chunk."""


def power(base: float, exponent: int) -> float:
    """As spec/checkpoint.md has it: by squaring, the lowest bit first."""
    result = 1.0
    for bit in reversed(f"{exponent:b}"):
        result = result * base if bit == "1" else result
        base = base * base
    return result


def by_the_page(step: Step, param: float, memory: list[float], a: float, decays: bool) -> tuple[float, list[float]]:
    """One value of spec/checkpoint.md's outer step."""
    setting = {name: float(text) for name, text in step.outer.settings.items()}
    shrunk = param * (1 - step.rate * setting.get("weight_decay", 0)) if decays else param
    if step.outer.name == "sign":
        return shrunk - step.rate * ((a > 0) - (a < 0)), []
    if step.outer.name == "adamw":
        beta1, beta2 = setting["beta1"], setting["beta2"]
        m = beta1 * memory[0] + (1 - beta1) * a
        v = beta2 * memory[1] + (1 - beta2) * (a * a)
        up = m / (1 - power(beta1, step.number))
        down = math.sqrt(v / (1 - power(beta2, step.number))) + setting["eps"]
        return shrunk - step.rate * (up / down), [m, v]
    mu = setting["momentum"]
    m = mu * memory[0] + a
    return param - step.rate * (m if step.outer.name == "sgd" else a + mu * m), [m]


@pytest.mark.parametrize("number", [1, 2, 13])
@pytest.mark.parametrize("name", OUTERS)
def test_one_value_at_a_time_over_tensors_of_every_kind(name: str, number: int) -> None:
    settings = {"momentum": "0.9"} if name in ("sgd", "nesterov") else {"weight_decay": "0.3"}
    step = Step(make_outer(name, "0.75", **settings), 0.75, number, MIXED)
    size, planes = MIXED.parameters, memory_values(step.outer, MIXED) // MIXED.parameters
    params, total = make_values(size, "p"), make_values(size, "a").astype(np.float64) / 3
    memory = np.abs(make_values(planes * size, "m"))
    found, kept = outer_step(step, params, memory, total)
    columns = memory.reshape(planes, size).T.tolist()
    decays = [len(tensor.shape) > 1 for tensor, start, end in MIXED.offsets() for _ in range(start, end)]
    wanted = [by_the_page(step, *one) for one in zip(params.tolist(), columns, total.tolist(), decays, strict=True)]
    assert found.tobytes() == np.array([one for one, _ in wanted], dtype=np.float32).tobytes()
    assert kept.tobytes() == np.array([after for _, after in wanted], dtype=np.float32).T.tobytes()


@pytest.mark.parametrize("name", OUTERS)
def test_nothing_is_written_to(name: str) -> None:
    step, size = step_of(name, "0.5"), memory_values(step_of(name, "0.5").outer, make_spec().layout)
    arrays = PARAMS.copy(), np.abs(make_values(size, "m")), AGGREGATE.copy()
    before = [array.tobytes() for array in arrays]
    outer_step(step, *arrays)
    assert [array.tobytes() for array in arrays] == before


@pytest.mark.parametrize("name", OUTERS)
@pytest.mark.parametrize("size", [0.0, 2.0**-149, 2.0**106])
def test_extremes_stay_finite(name: str, size: float) -> None:
    step = step_of(name, "1")._replace(number=1_000_000, rate=2.0**112)
    count = memory_values(step.outer, make_spec().layout)
    params, memory = outer_step(step, PARAMS, np.full(count, LARGEST, np.float32), np.full(76, size))
    assert np.all(np.isfinite(params))
    assert np.all(np.isfinite(memory))
    params, memory = outer_step(step, PARAMS, np.zeros(count, np.float32), np.full(76, -size))
    assert np.all(np.isfinite(params))


def test_adamw_is_torchs() -> None:
    torch = pytest.importorskip("torch")
    step, layout = step_of("adamw", "0.01", weight_decay="0.2"), make_spec().layout
    tensors = [torch.tensor(PARAMS[at:end].reshape(t.shape), dtype=torch.float64) for t, at, end in layout.offsets()]
    groups = [
        {"params": [one for one in tensors if one.dim() > 1], "weight_decay": 0.2},
        {"params": [one for one in tensors if one.dim() < 2], "weight_decay": 0.0},
    ]
    oracle = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95), eps=1e-8)
    params, memory = PARAMS, np.zeros(memory_values(step.outer, layout), np.float32)
    for number in range(1, 21):
        gradient = make_values(76, f"gradient {number}").astype(np.float64)
        for tensor, (_, at, end) in zip(tensors, layout.offsets(), strict=True):
            tensor.grad = torch.tensor(gradient[at:end]).reshape(tensor.shape)
        oracle.step()
        params, memory = outer_step(step._replace(number=number), params, memory, gradient)
    expected = np.concatenate([tensor.reshape(-1).numpy() for tensor in tensors])
    assert np.abs(params - expected).max() < 1e-6 * np.abs(expected).max()


def test_sign_moves_every_value_by_the_rate_and_remembers_nothing() -> None:
    step = step_of("sign", "0.5")
    aggregate_ = AGGREGATE.copy()
    aggregate_[3] = 0
    params, memory = outer_step(step, PARAMS, np.zeros(0, np.float32), aggregate_)
    assert len(memory) == memory_values(step.outer, make_spec().layout) == 0
    assert np.array_equal(params, (PARAMS - 0.5 * np.sign(aggregate_)).astype(np.float32))


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
    found = aggregate(spec, Round(0), updates, screened)
    assert found is not None
    first, third = updates[Worker(0)].values(), updates[Worker(2)].values()
    for i in range(76):
        exact = (Fraction(float(first[i])) + Fraction(0.3) * Fraction(float(third[i]))) / 2
        assert abs(Fraction(float(found[i])) - exact) <= abs(exact) / 2**50


def test_mean_of_nobody_is_none() -> None:
    assert aggregate(make_spec(), Round(0), {}, {}) is None


def test_mean_adds_in_ascending_order_whatever_the_input_order() -> None:
    spec = make_spec("dense")
    checkpoint = genesis(spec)
    updates = {Worker(i): quantise(spec, header_of(spec, checkpoint, i), make_values(76, f"{i}") / 3) for i in range(5)}
    screened = {worker: Screened(1 / 3, "clipped") for worker in updates}
    backward = dict(reversed(updates.items()))
    assert np.array_equal(aggregate(spec, Round(0), updates, screened), aggregate(spec, Round(0), backward, screened))
