from __future__ import annotations

import math

import numpy as np
import pytest

from attestrain.record.names import Worker
from attestrain.update.checkpoint import genesis
from attestrain.update.codec import DecodedUpdate, quantise
from attestrain.update.screen import Screened, screen
from tests.vectors.make_update import CODECS, header_of, make_spec, make_values


def updates(codec: str, factors: list[float]) -> dict[Worker, DecodedUpdate]:
    spec = make_spec(codec)
    checkpoint, values = genesis(spec), make_values(76, "screen")
    return {
        Worker(worker): quantise(spec, header_of(spec, checkpoint, worker), values * np.float32(factor))
        for worker, factor in enumerate(factors)
    }


@pytest.mark.parametrize("codec", CODECS)
def test_long_updates_are_shortened_to_the_limit(codec: str) -> None:
    screened = screen(updates(codec, [1, 1, 8, 0.5]), "2")
    assert [screened[Worker(i)] for i in (0, 1, 3)] == [Screened(1.0, "kept")] * 3
    assert screened[Worker(2)] == Screened(0.25, "clipped")


def test_factor_is_the_root_rounded_down() -> None:
    screened = screen(updates("dense", [1, 1, 3]), "1")
    assert screened[Worker(2)].factor == math.floor(2**52 / 3) / 2**52
    assert screen(updates("dense", [1, 1, 2]), "1.5")[Worker(2)].factor == 0.75


@pytest.mark.parametrize("codec", CODECS)
def test_zeros_are_left_out_and_do_not_lower_the_median(codec: str) -> None:
    screened = screen(updates(codec, [0, 0, 0, 1, 1]), "1")
    assert [screened[Worker(i)].reason for i in range(5)] == ["zero", "zero", "zero", "kept", "kept"]
    assert screened[Worker(0)].factor == 0.0


def test_median_of_an_even_number_is_the_lower_one() -> None:
    assert screen(updates("dense", [4, 1, 2, 8]), "1")[Worker(0)] == Screened(0.5, "clipped")


def test_clip_of_zero_is_off() -> None:
    assert screen(updates("ternary", [1, 1, 1000]), "0")[Worker(2)] == Screened(1.0, "kept")


def test_nobody_or_only_zeros() -> None:
    assert screen({}, "2") == {}
    assert screen(updates("ternary", [0]), "2") == {Worker(0): Screened(0.0, "zero")}


def test_result_is_in_ascending_order_whatever_the_input_order() -> None:
    forward = updates("two-bit", [1, 2, 3, 4, 50])
    backward = dict(reversed(forward.items()))
    assert list(screen(backward, "2").items()) == list(screen(forward, "2").items())
