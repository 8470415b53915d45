from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attestrain.errors import FormatError
from attestrain.record.digest import ZERO_DIGEST
from attestrain.record.layout import Init, TensorSpec
from attestrain.record.names import Branch, Round, Worker
from attestrain.record.spec import RunSpec
from attestrain.update.bits import Reader
from attestrain.update.codec import decode, encode, quantise
from attestrain.update.gaps import MAX_PARAMETER, best_parameter, read_positions, write_positions
from attestrain.update.header import UpdateHeader
from attestrain.update.scales import MAX_MANTISSA, MIN_EXPONENT, MIN_MANTISSA, Scales, mean_scales
from tests.vectors.make_update import CODECS, make_spec

FEW = settings(max_examples=60, deadline=None)

floats = st.floats(width=32, min_value=-(2.0**105), max_value=2.0**105)
grid = st.sampled_from([0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -3.0])
arrays = st.lists(st.one_of(floats, grid), min_size=1, max_size=70)


def spec_for(codec: str, count: int) -> RunSpec:
    return make_spec(codec, tensors=(TensorSpec("w", (count,), Init("zeros")),))


def encoded(codec: str, values: list[float]) -> tuple[RunSpec, bytes]:
    spec = spec_for(codec, len(values))
    header = UpdateHeader(spec.run_id, Branch(0), Round(0), Worker(0), ZERO_DIGEST)
    return spec, encode(spec, header, np.array(values, dtype=np.float32))


@pytest.mark.parametrize("codec", CODECS)
@FEW
@given(values=arrays)
def test_decoding_and_coding_again_gives_the_same_bytes(codec: str, values: list[float]) -> None:
    spec, data = encoded(codec, values)
    decoded = decode(spec, data)
    assert decoded.to_bytes() == data
    assert np.all(np.isfinite(decoded.values()))
    if codec == "dense":
        assert decoded.values().tobytes() == np.array(values, dtype=np.float32).tobytes()


@pytest.mark.parametrize("codec", CODECS)
@FEW
@given(values=arrays, data=st.data())
def test_any_changed_byte_is_refused_or_another_update(codec: str, values: list[float], data: st.DataObject) -> None:
    spec, good = encoded(codec, values)
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        bad[data.draw(st.integers(0, len(bad) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decoded = decode(spec, bytes(bad))
    except FormatError:
        return
    assert decoded.to_bytes() == bytes(bad)
    if bytes(bad) != good and decoded.header == decode(spec, good).header:
        assert decoded.values().tobytes() != decode(spec, good).values().tobytes()


@pytest.mark.parametrize("codec", CODECS)
@FEW
@given(values=arrays, cut=st.integers(1, 400), more=st.binary(min_size=1, max_size=9))
def test_shorter_and_longer_are_refused(codec: str, values: list[float], cut: int, more: bytes) -> None:
    spec, good = encoded(codec, values)
    for bad in (good[:-cut], good + more, more + good):
        with pytest.raises(FormatError):
            decode(spec, bad)


@pytest.mark.parametrize("codec", CODECS)
@FEW
@given(noise=st.binary(max_size=200))
def test_noise_behind_a_header_never_raises_anything_else(codec: str, noise: bytes) -> None:
    spec, good = encoded(codec, [1.0] * 20)
    try:
        decoded = decode(spec, good[:110] + noise)
    except FormatError:
        return
    assert decoded.to_bytes() == good[:110] + noise


@pytest.mark.parametrize("codec", ["ternary", "two-bit"])
@FEW
@given(values=arrays)
def test_a_scale_is_a_class_mean(codec: str, values: list[float]) -> None:
    """Against exact rational arithmetic: classes by the threshold, means within half a unit of seven bits."""
    spec, data = encoded(codec, values)
    decoded = decode(spec, data).values()
    array = np.array(values, dtype=np.float32)
    for at in range(0, len(values), 16):
        magnitudes = [Fraction(abs(float(value))) for value in array[at : at + 16]]
        sent = [Fraction(abs(float(value))) for value in decoded[at : at + 16]]
        unit = Fraction(2) ** (math.frexp(float(max(magnitudes)))[1] - 24)
        for level in set(sent) - {0}:
            members = [magnitude for magnitude, value in zip(magnitudes, sent, strict=True) if value == level]
            mean = sum(members) / len(members)
            assert abs(level - mean) <= mean / 2**7 + unit


@pytest.mark.parametrize("codec", CODECS)
@FEW
@given(values=arrays)
def test_norm_is_the_sum_of_squares(codec: str, values: list[float]) -> None:
    spec, data = encoded(codec, values)
    decoded = decode(spec, data)
    squares = sum(Fraction(float(value)) ** 2 for value in decoded.values())
    norm = decoded.norm_squared()
    if codec == "dense":
        assert squares * (1 - Fraction(len(values), 1 << 20)) <= norm <= squares
    else:
        assert norm == squares


@pytest.mark.parametrize("codec", ["ternary", "two-bit"])
@FEW
@given(values=arrays, shift=st.integers(-20, 20))
def test_scaling_by_a_power_of_two_changes_the_exponents_only(codec: str, values: list[float], shift: int) -> None:
    """Within the range of normal numbers the code is relative: no absolute threshold hides in it."""
    array = np.array(values, dtype=np.float32)
    array[(np.abs(array) < 2.0**-60) | (np.abs(array) > 2.0**60)] = 1.0
    spec = spec_for(codec, len(values))
    header = UpdateHeader(spec.run_id, Branch(0), Round(0), Worker(0), ZERO_DIGEST)
    factor = np.float32(math.ldexp(1.0, shift))
    plain, scaled = quantise(spec, header, array), quantise(spec, header, array * factor)
    assert np.array_equal(plain.values() * factor, scaled.values())


@FEW
@given(size=st.integers(1, 3000), data=st.data())
def test_positions_come_back(size: int, data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.integers(0, size - 1), max_size=60))
    positions = np.array(sorted(chosen), dtype=np.int64)
    coded = write_positions(positions)
    reader = Reader(memoryview(coded))
    assert np.array_equal(read_positions(reader, size), positions)
    reader.end()


@FEW
@given(st.lists(st.one_of(st.integers(0, 40), st.integers(0, 1 << 22)), max_size=40))
def test_best_parameter_against_trying_all(gaps: list[int]) -> None:
    def bits(parameter: int) -> int:
        return sum((gap >> parameter) + 1 + parameter for gap in gaps)

    assert best_parameter(np.array(gaps, dtype=np.int64)) == min(range(MAX_PARAMETER + 1), key=bits)


@FEW
@given(
    st.lists(
        st.tuples(st.integers(0, (1 << 44) - 1), st.integers(0, 1 << 20), st.integers(-172, 82)),
        min_size=1,
        max_size=20,
    )
)
def test_scales_round_rationals_half_up(blocks: list[tuple[int, int, int]]) -> None:
    totals, counts, units = (np.array(column, dtype=np.int64) for column in zip(*blocks, strict=True))
    scales = mean_scales(totals, counts, units)
    for i, (total, count, unit) in enumerate(blocks):
        mantissa, exponent = int(scales.mantissas[i]), int(scales.exponents[i])
        exact = Fraction(total, max(count, 1)) * Fraction(2) ** unit
        if mantissa == 0:
            assert exact < Fraction(2) ** (MIN_EXPONENT + 6)
            continue
        assert MIN_MANTISSA <= mantissa <= MAX_MANTISSA
        step = Fraction(2) ** exponent
        assert -step / 2 < mantissa * step - exact <= step / 2
        assert exact >= (MIN_MANTISSA - Fraction(1, 4)) * step
    if all(scales.exponents <= 100):
        again = Scales.from_bytes(memoryview(scales.to_bytes()))
        assert again.to_bytes() == scales.to_bytes()
