from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attestrain.update.norms import NORM_BITS, shrinking, squared_norm, squared_norms

floats = st.floats(allow_nan=False, allow_infinity=False, min_value=-(2.0**160), max_value=2.0**160)


def by_definition(values: list[float]) -> Fraction:
    """One value at a time: cut to multiples of 2^-24 of the smallest power of two above the largest, squared, added."""
    unit = Fraction(2) ** (math.frexp(max(map(abs, values)))[1] - NORM_BITS)
    return sum(((math.floor(abs(Fraction(value)) / unit) * unit) ** 2 for value in values), Fraction(0))


@given(st.lists(floats, min_size=1, max_size=20))
def test_one_value_at_a_time(values: list[float]) -> None:
    assert squared_norm(np.array(values, dtype=np.float64)) == by_definition(values)


@given(st.lists(st.integers(-(2**23), 2**23), min_size=1, max_size=20), st.integers(-140, 80))
def test_whole_numbers_that_fit_lose_nothing(integers: list[int], exponent: int) -> None:
    values = np.ldexp(np.array(integers, dtype=np.float32), exponent)
    assert squared_norm(values) == sum(number * number for number in integers) * Fraction(2) ** (2 * exponent)


@pytest.mark.parametrize("value", [5e-324, 2.0**-1022, 2.0**-149, 2.0**106, 1.7976931348623157e308])
def test_the_smallest_and_the_largest_floats(value: float) -> None:
    assert squared_norm(np.array([value, 0, -value])) == 2 * by_definition([value])


def test_nothing_has_no_length() -> None:
    assert squared_norm(np.zeros(0)) == 0
    assert squared_norm(np.zeros(5)) == 0


def test_several_vectors_longer_than_a_chunk() -> None:
    rows = [np.tile(np.array([3.0, -4.0], dtype=np.float32), 20_000) * np.float32(2.0**power) for power in (0, 90, -90)]
    found = squared_norms(40_000, lambda part: (row[part] for row in rows))
    assert found == [500_000 * Fraction(2) ** (2 * power) for power in (0, 90, -90)]


@given(st.fractions(min_value=0, max_value=1).filter(lambda ratio: ratio < 1))
def test_shrinking_is_the_root_rounded_down(ratio: Fraction) -> None:
    found, step = Fraction(shrinking(ratio)), Fraction(1, 1 << 52)
    assert found % step == 0
    assert found * found <= ratio < (found + step) ** 2
