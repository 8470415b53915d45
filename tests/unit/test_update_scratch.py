from __future__ import annotations

import numpy as np

from attestrain.update.scratch import Scratch


def test_the_same_use_gets_the_same_room_and_others_do_not() -> None:
    scratch = Scratch()
    sums = scratch.zeros("sums", 8, np.float64)
    sums += 1
    assert np.shares_memory(scratch.take("sums", 5, np.float64), sums)
    assert not np.shares_memory(scratch.take("products", 8, np.float64), sums)
    assert not np.shares_memory(scratch.take("sums", 8, np.float32), sums)


def test_room_grows_and_zeros_are_zeros() -> None:
    scratch = Scratch()
    scratch.take("sums", 2, np.int16).fill(7)
    assert scratch.take("sums", 9, np.int16).shape == (9,)
    scratch.take("sums", 9, np.int16).fill(7)
    assert scratch.zeros("sums", 3, np.int16).tolist() == [0, 0, 0]
