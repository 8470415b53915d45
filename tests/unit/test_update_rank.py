from __future__ import annotations

from fractions import Fraction

import pytest

from attestrain.update.rank import effective_rank, next_rank


@pytest.mark.parametrize(
    ("spectrum", "share", "expected"),
    [
        ([9, 4, 2, 1], "1", 4),
        ([9, 4, 2, 1], "0.9375", 3),
        ([9, 4, 2, 1], "0.9376", 4),
        ([9, 4, 2, 1], "0.5", 1),
        ([9, 4, 0, 0], "1", 2),
        ([0, 0], "0.9", 1),
        ([], "0.9", 1),
    ],
)
def test_effective_rank_is_the_fewest_components_with_the_share(spectrum: list[int], share: str, expected: int) -> None:
    assert effective_rank([Fraction(value) for value in spectrum], Fraction(share)) == expected


@pytest.mark.parametrize(
    ("estimates", "current", "window", "expected"),
    [
        ([], 16, 3, 16),
        ([4, 4], 16, 3, 16),
        ([4, 4, 5], 16, 3, 5),
        ([99, 4, 5, 3], 16, 3, 4),
        ([20, 20, 20], 16, 3, 16),
        ([1], 1, 1, 1),
    ],
)
def test_rank_follows_the_mean_of_the_window_and_never_rises(
    estimates: list[int], current: int, window: int, expected: int
) -> None:
    assert next_rank(estimates, current, window) == expected
