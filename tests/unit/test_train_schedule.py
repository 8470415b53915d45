from __future__ import annotations

import math

import pytest

from attestrain.errors import UsageError
from attestrain.train.schedule import bits_float, cosine_rates, float_bits


def table(text: str) -> list[float]:
    return [bits_float(int(text[at : at + 8], 16)) for at in range(0, len(text), 8)]


def test_warm_up_then_half_a_cosine() -> None:
    rates = table(cosine_rates(103, peak="0.04", warmup=2, floor="0.1"))
    assert rates[:3] == [pytest.approx(0.02), pytest.approx(0.04), pytest.approx(0.04)]
    assert rates[52] == pytest.approx(0.04 * 0.55)
    assert rates[-1] == pytest.approx(0.004)
    assert rates[2:] == sorted(rates[2:], reverse=True)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 1), (2, 1), (5, 5)])
def test_short_runs_have_a_rate_for_every_step(steps: int, warmup: int) -> None:
    assert all(0 < rate <= 1.0 for rate in table(cosine_rates(steps, peak="1", warmup=warmup, floor="0.1")))


@pytest.mark.parametrize(
    ("steps", "peak", "warmup", "floor"),
    [(0, "1", 0, "0"), (5, "0", 0, "0"), (5, "1", 6, "0"), (5, "1", -1, "0"), (5, "1", 0, "2"), (5, "11", 0, "0")],
)
def test_impossible_schedules_are_refused(steps: int, peak: str, warmup: int, floor: str) -> None:
    with pytest.raises(UsageError):
        cosine_rates(steps, peak=peak, warmup=warmup, floor=floor)


def test_bits_are_those_of_float32() -> None:
    assert float_bits(1.0) == 0x3F800000
    assert float_bits(0.1) == 0x3DCCCCCD
    assert bits_float(0x3DCCCCCD) == 0.10000000149011612
    assert math.isinf(bits_float(0x7F800000))
