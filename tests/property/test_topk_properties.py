"""Chunked top-k: canonical selection, one byte string for each update, bounded decoding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attestrain.errors import FormatError
from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.record.spec import Codec
from attestrain.update.scratch import Scratch
from attestrain.update.topk import GROUP, TopK, kept_of
from tests.algorithms import make_codec

FEW = settings(max_examples=80, deadline=None)
floats = st.floats(width=32, min_value=-(2.0**105), max_value=2.0**105)
grid = st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -3.0])
arrays = st.lists(st.one_of(floats, grid), min_size=1, max_size=120)
codecs = st.builds(
    lambda keep, levels: make_codec("topk", 16, keep=str(keep), levels=levels),
    st.integers(1, 16),
    st.sampled_from(["1", "2"]),
)


def layout_of(count: int) -> Layout:
    """Two tensors, the second of up to five values."""
    second = min(5, count // 2)
    tensors = [TensorSpec("w", (count - second,), Init("zeros"))]
    return Layout((*tensors, TensorSpec("b", (second,), Init("zeros"))) if second else tuple(tensors))


def coded(codec: Codec, values: list[float]) -> tuple[Layout, TopK, bytes]:
    layout = layout_of(len(values))
    body = TopK.quantise(codec, layout, np.array(values, dtype=np.float32))
    return layout, body, body.to_bytes()


@FEW
@given(values=arrays, codec=codecs)
def test_decoding_and_coding_again_gives_the_same(values: list[float], codec: Codec) -> None:
    layout, body, data = coded(codec, values)
    decoded = TopK.from_bytes(codec, layout, memoryview(data))
    assert decoded.to_bytes() == data
    assert decoded.values().tobytes() == body.values().tobytes()
    assert decoded.norm_squared() == sum((Fraction(float(x)) ** 2 for x in decoded.values()), Fraction(0))
    total, plain = np.full(len(values), 0.1), np.full(len(values), 0.1)
    decoded.adder(0.3, Scratch())(total, slice(0, len(total)))
    plain += decoded.values().astype(np.float64) * 0.3
    assert total.tobytes() == plain.tobytes()


@FEW
@given(values=arrays, codec=codecs)
def test_places_are_the_largest_and_of_equal_ones_the_first(values: list[float], codec: Codec) -> None:
    layout, body, _ = coded(codec, values)
    array, expected = np.array(values, dtype=np.float32), set[int]()
    for _, start, end in layout.offsets():
        for at in range(start, end, codec.block):
            places = range(at, min(at + codec.block, end))
            order = sorted(places, key=lambda place: (-abs(float(array[place])), place))
            expected |= {place for place in order[: kept_of(codec, len(places))] if array[place]}
    chosen = set(body.chosen.positions.tolist())
    assert chosen <= expected
    # Left out are only values below the smallest scale.
    assert all(abs(float(array[place])) < 2.0**-112 for place in expected - chosen)
    assert all((body.values()[place] < 0) == (array[place] < 0) for place in chosen)


@FEW
@given(values=arrays, codec=codecs, data=st.data())
def test_any_changed_byte_is_refused_or_another_update(values: list[float], codec: Codec, data: st.DataObject) -> None:
    layout, body, good = coded(codec, values)
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        bad[data.draw(st.integers(0, len(bad) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decoded = TopK.from_bytes(codec, layout, memoryview(bytes(bad)))
    except FormatError:
        return
    assert decoded.to_bytes() == bytes(bad)
    if bytes(bad) != good:
        assert decoded.values().tobytes() != body.values().tobytes()


@FEW
@given(values=arrays, codec=codecs, cut=st.integers(1, 60), more=st.binary(min_size=1, max_size=9))
def test_shorter_and_longer_are_refused(values: list[float], codec: Codec, cut: int, more: bytes) -> None:
    layout, _, good = coded(codec, values)
    for bad in (good[:-cut], good + more):
        with pytest.raises(FormatError):
            TopK.from_bytes(codec, layout, memoryview(bad))


@FEW
@given(noise=st.binary(max_size=120), codec=codecs)
def test_noise_never_raises_anything_else(noise: bytes, codec: Codec) -> None:
    layout = layout_of(60)
    try:
        decoded = TopK.from_bytes(codec, layout, memoryview(noise))
    except FormatError:
        return
    assert decoded.to_bytes() == noise


def test_more_values_than_the_run_keeps_are_refused() -> None:
    generous, strict = make_codec("topk", 16, keep="3", levels="1"), make_codec("topk", 16, keep="2", levels="1")
    layout, _, data = coded(generous, [float(i) for i in range(40)])
    with pytest.raises(FormatError, match="more values of a chunk"):
        TopK.from_bytes(strict, layout, memoryview(data))


@pytest.mark.parametrize("tail", ["gaussian", "heavy"])
def test_sparselocos_selection_takes_at_most_0149_bits_a_parameter(tail: str) -> None:
    """64 of 4096 values in two bits each; as published with fixed 12-bit positions, 0.219 (arXiv 2508.15706)."""
    draw = np.random.default_rng(1)
    count = 160 * GROUP * 4096
    layout = Layout(tuple(TensorSpec(f"w{i}", (count // 10,), Init("zeros")) for i in range(10)))
    values = (draw.standard_normal(count) if tail == "gaussian" else draw.standard_t(3, count)).astype(np.float32)
    codec = make_codec("topk", 4096, keep="64", levels="2")
    body = TopK.quantise(codec, layout, values)
    assert len(body.chosen.positions) == count // 64
    assert 8 * len(body.to_bytes()) / count <= 0.149
