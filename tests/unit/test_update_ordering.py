from __future__ import annotations

import itertools
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attestrain.update.ordering import comparators, sort_columns


@pytest.mark.parametrize("count", range(1, 13))
def test_the_network_sorts_all_zeros_and_ones_hence_everything(count: int) -> None:
    columns = np.array(list(itertools.product((0.0, 1.0), repeat=count))).T
    rows = [row.copy() for row in columns]
    sort_columns(rows)
    assert np.array_equal(np.array(rows), np.sort(columns, axis=0))


@given(st.integers(1, 70), st.randoms(use_true_random=False))
def test_columns_of_any_height(count: int, random: Random) -> None:
    columns = np.array([[random.choice((-2.0, 0.0, 0.5, 3.0)) for _ in range(9)] for _ in range(count)])
    rows = [row.copy() for row in columns]
    sort_columns(rows)
    assert np.array_equal(np.array(rows), np.sort(columns, axis=0))


def test_pairs_go_up_and_stay_inside() -> None:
    assert all(0 <= low < high < 100 for low, high in comparators(100))
    assert [len(comparators(count)) for count in (1, 2, 4, 8, 16)] == [0, 1, 5, 19, 63]  # Knuth, 5.3.4, table 1
