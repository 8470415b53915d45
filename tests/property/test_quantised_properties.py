"""Sign, integer and low-rank bodies: one byte string for each update, and nothing else gets through."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attestrain.errors import FormatError
from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.record.spec import Codec
from attestrain.update.arrays import MAX_MAGNITUDE
from attestrain.update.integer import Int4, Int8, Levels
from attestrain.update.lowrank import LowRank, memory_size
from attestrain.update.scratch import Scratch
from tests.unit.lowrank_oracle import components
from tests.vectors.make_quantised import BODIES

FEW = settings(max_examples=60, deadline=None)
NAMES = tuple(BODIES)
INTEGERS = (Int8, Int4)
BLOCK = 16

floats = st.floats(width=32, min_value=-(2.0**105), max_value=2.0**105)
grid = st.sampled_from([0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -3.0])
shapes = st.one_of(
    st.tuples(st.integers(1, 40)),
    st.tuples(st.integers(1, 8), st.integers(1, 8)),
    st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3)),
)
layouts = st.lists(shapes, min_size=1, max_size=3).map(
    lambda many: Layout(tuple(TensorSpec(f"t{i}", shape, Init("zeros")) for i, shape in enumerate(many)))
)
Case = tuple[Codec, Layout, np.ndarray, np.ndarray]


def floats32(data: st.DataObject, count: int) -> np.ndarray:
    values = st.one_of(floats, grid)
    return np.array(data.draw(st.lists(values, min_size=count, max_size=count)), dtype=np.float32)


def drawn(name: str, data: st.DataObject) -> Case:
    layout = data.draw(layouts)
    choices = {
        "lowrank": {"rank": st.sampled_from("123"), "bits": st.sampled_from("48")},
        "topk": {"keep": st.sampled_from("149"), "levels": st.sampled_from("12")},
        "dct": {"side": st.sampled_from("24"), "keep": st.sampled_from("149"), "levels": st.sampled_from("12")},
    }
    options = {key: data.draw(values) for key, values in choices.get(name, {}).items()}
    codec = Codec(name, data.draw(st.sampled_from([3, BLOCK])), "1", options)
    size = memory_size(codec, layout) if name == "lowrank" else 0
    memory = np.zeros(size, dtype=np.float32) if data.draw(st.booleans()) else floats32(data, size)
    return codec, layout, floats32(data, layout.parameters), memory


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(data=st.data())
def test_reading_and_writing_again_gives_the_same_bytes(name: str, data: st.DataObject) -> None:
    codec, layout, values, memory = drawn(name, data)
    body = BODIES[name].quantise(codec, layout, values, memory)
    read = BODIES[name].from_bytes(codec, layout, memoryview(body.to_bytes()))
    assert read.to_bytes() == body.to_bytes()
    assert read.values().tobytes() == body.values().tobytes()
    assert read.memory().tobytes() == body.memory().tobytes()
    assert read.values().shape == values.shape
    assert np.all(np.abs(read.values()) < MAX_MAGNITUDE)
    assert not np.any(np.signbit(read.values()) & (read.values() == 0))


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(data=st.data())
def test_any_changed_byte_is_refused_or_another_update(name: str, data: st.DataObject) -> None:
    codec, layout, values, memory = drawn(name, data)
    good = BODIES[name].quantise(codec, layout, values, memory)
    bad = bytearray(good.to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        bad[data.draw(st.integers(0, len(bad) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        read = BODIES[name].from_bytes(codec, layout, memoryview(bytes(bad)))
    except FormatError:
        return
    assert read.to_bytes() == bytes(bad)
    assert np.all(np.abs(read.values()) < MAX_MAGNITUDE * (2 if name == "sign" else 1))  # scales end at 127 x 2^100
    if bytes(bad) != good.to_bytes():
        assert read.values().tobytes() != good.values().tobytes()


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(data=st.data(), cut=st.integers(1, 400), more=st.binary(min_size=1, max_size=9))
def test_shorter_and_longer_are_refused(name: str, data: st.DataObject, cut: int, more: bytes) -> None:
    codec, layout, values, memory = drawn(name, data)
    good = BODIES[name].quantise(codec, layout, values, memory).to_bytes()
    for bad in (good[:-cut], good + more, more + good):
        with pytest.raises(FormatError):
            BODIES[name].from_bytes(codec, layout, memoryview(bad))


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(data=st.data(), noise=st.binary(max_size=300))
def test_noise_never_raises_anything_else(name: str, data: st.DataObject, noise: bytes) -> None:
    codec, layout, _, _ = drawn(name, data)
    try:
        read = BODIES[name].from_bytes(codec, layout, memoryview(noise))
    except FormatError:
        return
    assert read.to_bytes() == noise


@pytest.mark.parametrize("name", ["sign", "int8", "int4"])
@FEW
@given(data=st.data())
def test_norm_is_the_sum_of_squares(name: str, data: st.DataObject) -> None:
    codec, layout, values, memory = drawn(name, data)
    body = BODIES[name].quantise(codec, layout, values, memory)
    assert body.norm_squared() == sum((Fraction(float(value)) ** 2 for value in body.values()), start=Fraction(0))


@pytest.mark.parametrize("name", ["int8", "int4", "lowrank"])
@FEW
@given(data=st.data(), factor=st.floats(0, 1))
def test_adding_is_adding_the_values(name: str, data: st.DataObject, factor: float) -> None:
    codec, layout, values, memory = drawn(name, data)
    body = BODIES[name].quantise(codec, layout, values, memory)
    total = np.linspace(-1, 1, len(values))
    expected = total + body.values().astype(np.float64) * factor
    body.summand().adder(factor, Scratch())(total, slice(0, len(total)))
    assert total.tobytes() == expected.tobytes()


@pytest.mark.parametrize("kind", INTEGERS)
@FEW
@given(values=st.lists(st.one_of(floats, grid), min_size=1, max_size=70))
def test_levels_and_scales_against_rationals(kind: type[Levels], values: list[float]) -> None:
    layout = Layout((TensorSpec("w", (len(values),), Init("zeros")),))
    array = np.array(values, dtype=np.float32)
    body = kind.quantise(Codec("", BLOCK, "1", {}), layout, array)
    for number, at in enumerate(range(0, len(values), BLOCK)):
        block = [Fraction(float(value)) for value in array[at : at + BLOCK]]
        scale = Fraction(int(body.scales.mantissas[number])) * Fraction(2) ** int(body.scales.exponents[number])
        exact = max(map(abs, block)) / kind.LARGEST
        if scale == 0:
            assert exact < Fraction(2) ** -114
            assert not np.any(body.levels[at : at + BLOCK])
            continue
        unit = Fraction(2) ** (math.frexp(exact)[1] - 7)
        assert scale == exact // unit * unit
        for value, level in zip(block, body.levels[at : at + BLOCK].tolist(), strict=True):
            step = round(Fraction(float(np.float32(value) / np.float32(scale))))
            assert level == max(-kind.LARGEST, min(kind.LARGEST, step))
            clipped = abs(value) > kind.LARGEST * scale
            bound = abs(value) / 64 if clipped else scale / 2 * (1 + Fraction(1, 1 << 14))
            assert abs(value - level * scale) <= bound


@FEW
@given(data=st.data())
def test_power_iteration_by_the_words_of_the_page(data: st.DataObject) -> None:
    rows, columns, rank = data.draw(st.integers(3, 7)), data.draw(st.integers(3, 7)), data.draw(st.integers(1, 2))
    bits, block = data.draw(st.sampled_from("48")), data.draw(st.sampled_from([2, BLOCK]))
    codec = Codec("lowrank", block, "1", {"rank": str(rank), "bits": bits})
    layout = Layout((TensorSpec("w", (rows, columns), Init("zeros")),))
    values = floats32(data, rows * columns)
    if data.draw(st.booleans()):
        random = np.random.default_rng(data.draw(st.integers(0, 99)))
        values = random.standard_normal(rows * columns).astype(np.float32)
    memory = np.zeros(rank * columns, dtype=np.float32) if data.draw(st.booleans()) else floats32(data, rank * columns)
    body = LowRank.quantise(codec, layout, values, memory)
    expected = components(values.reshape(rows, columns), memory.reshape(rank, columns), bits, block)
    for factor, vectors in zip((body.factors[0].left, body.factors[0].right), zip(*expected, strict=True), strict=True):
        assert factor.levels.tolist() == [level for levels, _ in vectors for level in levels]
        pairs = zip(factor.scales.mantissas.tolist(), factor.scales.exponents.tolist(), strict=True)
        assert list(pairs) == [scale for _, scales in vectors for scale in scales]


@FEW
@given(data=st.data(), shift=st.integers(-20, 20))
def test_low_rank_of_a_scaled_matrix_is_scaled(data: st.DataObject, shift: int) -> None:
    """No absolute threshold hides in the power iteration."""
    codec, layout, values, memory = drawn("lowrank", data)
    values[(np.abs(values) < 2.0**-20) | (np.abs(values) > 2.0**20)] = 1.0
    factor = np.float32(math.ldexp(1.0, shift))
    plain = LowRank.quantise(codec, layout, values, memory)
    scaled = LowRank.quantise(codec, layout, values * factor, memory)
    assert np.array_equal(plain.values() * factor, scaled.values())
