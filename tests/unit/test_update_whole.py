from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attestrain.update.whole import Whole, orthogonal_rows, product, round_rows, row_squares


def integers(rows: int, columns: int, bits: int, seed: int) -> Whole:
    random = np.random.default_rng(seed)
    return Whole(random.integers(-(1 << bits), (1 << bits) + 1, (rows, columns)).astype(np.float64), bits)


def exact(matrix: np.ndarray) -> list[list[int]]:
    return [[int(value) for value in row] for row in matrix]


@pytest.mark.parametrize(("bits", "inner"), [(20, 1 << 13), (25, 7), (26, 2), (10, 300)])
def test_product_is_that_of_the_integers(bits: int, inner: int) -> None:
    left, right = integers(3, inner, bits, 1), integers(inner, 5, bits, 2)
    columns = list(zip(*exact(right.values), strict=True))
    expected = [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in exact(left.values)
    ]
    found = product(left, right)
    assert exact(found.values) == expected
    assert np.max(np.abs(found.values)) <= math.ldexp(1.0, found.bits)


@pytest.mark.parametrize(("bits", "inner"), [(20, (1 << 13) + 1), (26, 3), (27, 1)])
def test_product_that_might_be_rounded_is_refused(bits: int, inner: int) -> None:
    with pytest.raises(ValueError, match="is not exact"):
        product(integers(2, inner, bits, 1), integers(inner, 2, bits, 2))


def test_zeros_of_a_product_are_positive() -> None:
    left = Whole(np.array([[0.0], [-1.0]]), 1)
    found = product(left, Whole(np.array([[-1.0, 0.0]]), 1))
    assert not np.any(np.signbit(found.values) & (found.values == 0))


@given(st.lists(st.floats(-1e30, 1e30), min_size=2, max_size=12), st.integers(3, 24))
def test_rows_are_rounded_to_so_many_bits(values: list[float], bits: int) -> None:
    matrix = np.array([values, [0.0] * len(values)])
    found = round_rows(matrix, bits)
    largest = max(map(abs, values))
    unit = Fraction(2) ** (math.frexp(largest)[1] - bits)
    assert exact(found.values) == [[round(Fraction(value) / unit) for value in values], [0] * len(values)]


def test_squares_of_rows() -> None:
    matrix = integers(4, 50, 20, 3)
    assert row_squares(matrix).tolist() == [sum(value * value for value in row) for row in exact(matrix.values)]


def cosines(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1)
    kept = rows[lengths > 0] / lengths[lengths > 0, np.newaxis]
    return np.abs(kept @ kept.T - np.eye(len(kept)))


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_orthogonal_rows_are_gram_schmidt(decay: float) -> None:
    random = np.random.default_rng(4)
    common = random.standard_normal((12, 400)) * np.arange(1, 13)[:, np.newaxis] ** -decay
    matrix = round_rows(random.standard_normal((12, 12)) @ common, 16)
    found = orthogonal_rows(matrix)
    assert np.max(cosines(found)) < 1e-4
    directions = np.linalg.qr(matrix.values.T)[0].T
    assert np.all(np.abs(np.sum(found * directions, axis=1)) > (1 - 1e-6) * np.linalg.norm(found, axis=1))


def test_dependent_rows_become_zero() -> None:
    random = np.random.default_rng(5)
    independent = random.integers(-99, 100, (3, 40)).astype(np.float64)
    mixed = np.stack(
        [independent[0], 5 * independent[0], independent[1], independent[0] - independent[1], independent[2]]
    )
    found = orthogonal_rows(round_rows(mixed, 16))
    assert np.any(found, axis=1).tolist() == [True, False, True, False, True]
    assert np.max(cosines(found)) < 1e-4


def test_zeros_stay_zeros() -> None:
    assert not np.any(orthogonal_rows(Whole(np.zeros((3, 5)), 16)))


def test_coefficients_stay_finite_where_every_row_leans_on_the_ones_before() -> None:
    """Each row alone is far enough from the ones before it, but their combinations double from row to row (Kahan)."""
    size = 1100
    matrix = np.tril(np.full((size, size), -4.0)) + 8.0 * np.eye(size)
    found = orthogonal_rows(round_rows(matrix, 16))
    assert np.all(np.isfinite(found))
    assert np.any(found)
