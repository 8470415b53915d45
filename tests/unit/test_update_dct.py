"""Cosines from integers, and the codec that sends the strongest of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attestrain.errors import FormatError
from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.update.cosines import TABLE_BITS, backward, forward, table
from attestrain.update.dct import DctTopK, tilings_of
from tests.algorithms import make_codec
from tests.vectors.make_update import make_values

LAYOUT = Layout(
    tuple(
        TensorSpec(f"t{number}", shape, Init("zeros"))
        for number, shape in enumerate([(19, 33), (7,), (8, 8), (5, 3, 4), (1, 40), (16,)])
    )
)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 17, 64, 100])
def test_the_table_is_the_transform_rounded(size: int) -> None:
    for k in range(size):
        for n in range(size):
            length = math.sqrt((1 if k == 0 else 2) / size)
            exact = length * math.cos(math.pi * (2 * n + 1) * k / (2 * size)) * 2**TABLE_BITS
            assert abs(table(size).values[k, n] - exact) <= 0.5 + 1e-6


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 1, 64), (2, 5, 17), (1, 64, 64)])
def test_there_and_back_again(shape: tuple[int, int, int]) -> None:
    tiles = np.rint(np.random.default_rng(1).uniform(-(2**19), 2**19, shape))
    coefficients = forward(tiles)
    assert np.array_equal(coefficients, np.rint(coefficients))
    back = backward(np.rint(coefficients / 2**9), 14) * 2.0 ** (9 - 2 * TABLE_BITS)
    assert np.abs(back - tiles).max() < 2**19 * 0.01


def test_tiles_cover_every_value_once() -> None:
    seen, count = np.zeros(LAYOUT.parameters, np.float32), 0
    values = np.arange(LAYOUT.parameters, dtype=np.float32)
    for tiling in tilings_of(LAYOUT, 8):
        tiles = tiling.take(values)
        count += tiles.size
        tiling.put(seen, tiles)
    assert np.array_equal(seen, values)
    assert count == LAYOUT.parameters


def test_keeping_everything_gives_nearly_everything_back() -> None:
    values = make_values(LAYOUT.parameters, "dct")
    coarse, fine = (
        DctTopK.quantise(make_codec("dct", side="8", keep=keep, levels="2"), LAYOUT, values).values()
        for keep in ("4", "64")
    )
    lost = [float(((values - sent) ** 2).sum() / (values**2).sum()) for sent in (coarse, fine)]
    assert lost[1] < 0.2 < lost[0] < 1


def test_a_smooth_tile_is_one_coefficient() -> None:
    layout = Layout((TensorSpec("w", (64, 64), Init("zeros")),))
    wave = np.outer(np.cos(math.pi * (2 * np.arange(64) + 1) * 3 / 128), np.ones(64)).astype(np.float32)
    body = DctTopK.quantise(make_codec("dct", keep="1", levels="1"), layout, wave.reshape(-1))
    assert len(body.coefficients.chosen.positions) == 1
    assert np.abs(body.values() - wave.reshape(-1)).max() < 0.02


@pytest.mark.parametrize("levels", ["1", "2"])
def test_round_trip_and_strictness(levels: str) -> None:
    codec = make_codec("dct", side="8", keep="5", levels=levels)
    body = DctTopK.quantise(codec, LAYOUT, make_values(LAYOUT.parameters, "dct"))
    data = body.to_bytes()
    decoded = DctTopK.from_bytes(codec, LAYOUT, memoryview(data))
    assert decoded.to_bytes() == data
    assert decoded.values().tobytes() == body.values().tobytes()
    assert float(decoded.norm_squared()) == pytest.approx(
        float((body.values().astype(np.float64) ** 2).sum()), rel=1e-5
    )
    for place in range(len(data)):
        bad = bytearray(data)
        bad[place] ^= 0x41
        try:
            other = DctTopK.from_bytes(codec, LAYOUT, memoryview(bytes(bad)))
        except FormatError:
            continue
        assert other.to_bytes() == bytes(bad)


def test_zeros_stay_zeros() -> None:
    codec = make_codec("dct", side="8", keep="5")
    body = DctTopK.quantise(codec, LAYOUT, np.zeros(LAYOUT.parameters, np.float32))
    assert not body.values().any()
    assert body.norm_squared() == 0
