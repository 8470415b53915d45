from __future__ import annotations

import math
from collections import Counter

import pytest

from attestrain.record.digest import Digest, sha256
from attestrain.rules.bijection import MAX_DOMAIN, Bijection


def keys(count: int) -> list[Digest]:
    return [sha256(f"key {index}".encode()) for index in range(count)]


@pytest.mark.parametrize("size", [*range(1, 40), 63, 64, 65, 100, 255, 256, 257])
def test_every_domain_is_permuted(size: int):
    for key in keys(3):
        shuffle = Bijection(key, size)
        images = [shuffle(index) for index in range(size)]
        assert sorted(images) == list(range(size))
        assert [shuffle.inverse(image) for image in images] == list(range(size))


# The 99.99 % quantiles of chi-squared with n! - 1 degrees of freedom.
@pytest.mark.parametrize(("size", "limit"), [(2, 15.1), (3, 25.7), (4, 57.0), (5, 186.0)])
def test_every_permutation_of_a_few_is_as_likely_as_any_other(size: int, limit: float):
    counts = Counter(tuple(map(Bijection(key, size), range(size))) for key in keys(2400))
    expected = 2400 / math.factorial(size)
    assert len(counts) == math.factorial(size)
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < limit


def test_every_place_is_as_likely_as_any_other():
    counts = Counter(Bijection(key, 100)(7) for key in keys(5000))
    assert sum((counts[place] - 50) ** 2 / 50 for place in range(100)) < 161.3  # 99.99 % at 99 degrees of freedom


def test_neighbours_do_not_stay_neighbours():
    shuffle = Bijection(keys(1)[0], 4096)
    close = sum(abs(shuffle(index) - shuffle(index + 1)) < 41 for index in range(4095))
    assert 40 < close < 130  # two per cent of 4095 is 82


def test_keys_give_unrelated_permutations():
    first, second = (Bijection(key, 1000) for key in keys(2))
    assert sum(first(index) == second(index) for index in range(1000)) < 8


@pytest.mark.parametrize("size", [0, -1, MAX_DOMAIN + 1])
def test_a_domain_out_of_range_is_refused(size: int):
    with pytest.raises(ValueError, match="out of range"):
        Bijection(keys(1)[0], size)


@pytest.mark.parametrize("index", [-1, 5, 7])
def test_a_place_outside_the_domain_is_refused(index: int):
    shuffle = Bijection(keys(1)[0], 5)
    with pytest.raises(ValueError, match="outside the domain"):
        shuffle(index)
    with pytest.raises(ValueError, match="outside the domain"):
        shuffle.inverse(index)
