from __future__ import annotations

import math
import struct
from fractions import Fraction

import numpy as np
import pytest

from attestrain.errors import FormatError, RunFailed
from attestrain.record.digest import ZERO_DIGEST
from attestrain.record.layout import Init, TensorSpec
from attestrain.record.names import Branch, Round, Worker
from attestrain.record.spec import RunSpec
from attestrain.update.blocks import blocks_of
from attestrain.update.codec import decode, encode
from attestrain.update.header import HEADER_SIZE, UpdateHeader
from tests.vectors.make_update import CODECS, make_spec, make_values

TINY = 2.0**-140
EIGHT = (TensorSpec("w", (8,), Init("zeros")),)


def header(spec: RunSpec) -> UpdateHeader:
    return UpdateHeader(spec.run_id, Branch(0), Round(0), Worker(0), ZERO_DIGEST)


def body(spec: RunSpec, values: list[float]) -> bytes:
    return encode(spec, header(spec), np.array(values, dtype=np.float32))[HEADER_SIZE:]


def opened(spec: RunSpec, data: bytes) -> list[float]:
    codec_header = header(spec).to_bytes(spec.codec.name, spec.layout.parameters)
    return decode(spec, codec_header + data).values().tolist()


def test_no_block_crosses_a_tensor() -> None:
    blocks = blocks_of(make_spec().layout, 16)
    assert blocks.starts.tolist() == [0, 16, 32, 35, 38, 54, 70, 74]
    assert blocks.lengths.tolist() == [16, 16, 3, 3, 16, 16, 4, 2]


def test_ternary_bytes_by_hand() -> None:
    spec = make_spec(tensors=EIGHT)
    data = body(spec, [4, 0, -2, 0.5, 0, 0, 3, 0])  # mean 1.1875, kept from 0.89 on, sent as 3 = 96 x 2^-5
    gaps = struct.pack("<BQQ", 0, 3, 7) + bytes([0b1010_0010])
    assert data == bytes([96, 256 - 5]) + gaps + bytes([0b0100_0000])
    assert opened(spec, data) == [3, 0, -3, 0, 0, 0, 3, 0]


def test_two_bit_bytes_by_hand() -> None:
    spec = make_spec("two-bit", tensors=EIGHT)
    data = body(spec, [4, 1, -5, 1, 1, -1, 1, 1])  # mean 1.875, large from 2.34 on: 4.5 = 72 x 2^-4
    gaps = struct.pack("<BQQ", 0, 2, 3) + bytes([0b1010_0000])
    assert data == bytes([64, 256 - 6, 72, 256 - 4]) + gaps + bytes([0b0010_0100])
    assert opened(spec, data) == [4.5, 1, -4.5, 1, 1, -1, 1, 1]


def test_sparse_plane_gets_remainders() -> None:
    spec = make_spec(tensors=(TensorSpec("w", (4096,), Init("zeros")),), block=4096)
    values = np.zeros(4096, dtype=np.float32)
    values[[100, 1000, 2500, 4000]] = 1.0
    data = encode(spec, header(spec), values)
    parameter, count, _ = struct.unpack_from("<BQQ", data, HEADER_SIZE + 2)
    assert (parameter, count) == (9, 4)
    assert len(data) - HEADER_SIZE <= 2 + 17 + 2 + 5 + 1
    assert np.array_equal(decode(spec, data).values(), values)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2.0**106])
def test_diverged_training_fails_with_a_hint(codec: str, value: float) -> None:
    spec = make_spec(codec, tensors=EIGHT)
    with pytest.raises(RunFailed, match="diverged") as caught:
        body(spec, [0, 1, value, 0, 0, 0, 0, 0])
    assert caught.value.hint


@pytest.mark.parametrize("codec", CODECS)
def test_extreme_values_stay_finite(codec: str) -> None:
    spec = make_spec(codec, tensors=EIGHT)
    largest = float(np.nextafter(np.float32(2.0**106), np.float32(0)))
    assert np.all(np.abs(opened(spec, body(spec, [largest, -largest, 0, 1, TINY, 0, 0, 0]))) <= 2.0**106)


@pytest.mark.parametrize("codec", ["ternary", "two-bit"])
def test_what_is_below_the_smallest_scale_is_sent_as_zeros(codec: str) -> None:
    spec = make_spec(codec, tensors=EIGHT)
    data = body(spec, [TINY, -TINY, 0, 3 * TINY, 0, 0, 0, -8 * TINY])
    assert np.array(opened(spec, data), dtype=np.float32).tobytes() == bytes(32)
    assert data == body(spec, [0.0] * 8)


def test_two_bit_small_class_of_zeros_has_no_sign() -> None:
    spec = make_spec("two-bit", tensors=EIGHT)
    decoded = np.array(opened(spec, body(spec, [0, -0.0, -1, 0, -0.0, 0, 1, 0])), dtype=np.float32)
    assert decoded.tobytes() == np.array([0, 0, -1, 0, 0, 0, 1, 0], dtype=np.float32).tobytes()


def test_wrong_array_is_a_bug_not_a_format() -> None:
    spec = make_spec(tensors=EIGHT)
    with pytest.raises(ValueError, match="expected 8 float32 values"):
        encode(spec, header(spec), np.zeros(9, dtype=np.float32))
    with pytest.raises(ValueError, match="expected 8 float32 values"):
        encode(spec, header(spec), np.zeros(8, dtype=np.float64))


HUGE = (1 << 63) - 1
PLANE = struct.pack("<BQQ", 0, 3, 7) + bytes([0b1010_0010])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends 2 bytes early"),
        (bytes([96, 0]) + struct.pack("<BQQ", 0, HUGE, 7) + b"\xa2\x40", "out of bounds"),
        (bytes([96, 0]) + struct.pack("<BQQ", 0, 3, HUGE) + b"\xa2\x40", "out of bounds"),
        (bytes([96, 0]) + struct.pack("<BQQ", 16, 3, 7) + b"\xa2\x40", "out of bounds"),
        (bytes([96, 0]) + struct.pack("<BQQ", 0, 2, 7) + b"\xa2\x40", "does not match its counts"),
        (bytes([96, 0]) + struct.pack("<BQQ", 0, 3, 8) + b"\xa2\x40", "does not match its counts"),
        (bytes([96, 0]) + struct.pack("<BQQ", 0, 3, 7) + b"\xa3\x40", "padding"),
        (bytes([96, 0]) + struct.pack("<BQQ", 1, 3, 3) + b"\xe0\x60\x40", "not the best one"),
        (bytes([96, 0]) + struct.pack("<BQQ", 2, 2, 3) + b"\xa0\xf0\x00", "beyond the end"),
        (bytes([96, 0]) + struct.pack("<BQQ", 1, 1, 5) + b"\x08\x00\x00", "beyond the end"),
        (bytes([96, 0]) + PLANE + b"\x41", "padding"),
        (bytes([96, 0]) + PLANE + b"\x40\0", "1 bytes too many"),
        (bytes([0, 0]) + PLANE + b"\x40", "values without a scale"),
        (bytes([96, 0]) + struct.pack("<BQQ", 0, 0, 0), "scale without values"),
        (bytes([0, 1]) + struct.pack("<BQQ", 0, 0, 0), "scale out of range"),
        (bytes([63, 0]) + PLANE + b"\x40", "scale out of range"),
        (bytes([128, 0]) + PLANE + b"\x40", "scale out of range"),
        (bytes([96, 101]) + PLANE + b"\x40", "scale out of range"),
        (bytes([96, 256 - 121]) + PLANE + b"\x40", "scale out of range"),
    ],
)
def test_ternary_refuses(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        opened(make_spec(tensors=EIGHT), data)


LARGE = struct.pack("<BQQ", 0, 2, 3) + bytes([0b1010_0000])
ALL_LARGE = struct.pack("<BQQ", 0, 8, 8) + bytes([0xFF])
NONE_LARGE = struct.pack("<BQQ", 0, 0, 0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bytes([64, 0, 0, 0]) + LARGE + b"\0", "values without a scale"),
        (bytes([64, 0, 72, 2]) + NONE_LARGE + b"\0", "scale without values"),
        (bytes([64, 0, 72, 2]) + ALL_LARGE + b"\0", "scale without values"),
        (bytes([64, 2, 64, 2]) + LARGE + b"\0", "not below the large one"),
        (bytes([0, 0, 72, 2]) + LARGE + bytes([0b0100_0000]), "negative zero"),
        (bytes([0, 0, 0, 0]) + NONE_LARGE + b"\x80", "negative zero"),
        (bytes([64, 0, 72, 2]) + LARGE, "early"),
        (bytes([64, 0, 72, 2]) + LARGE + b"\0\0", "too many"),
    ],
)
def test_two_bit_refuses(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        opened(make_spec("two-bit", tensors=EIGHT), data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bytes(31), "31 bytes"),
        (bytes(33), "33 bytes"),
        (bytes(28) + struct.pack("<f", math.nan), "not finite or too large"),
        (bytes(28) + struct.pack("<f", -math.inf), "not finite or too large"),
        (bytes(28) + struct.pack("<f", -(2.0**106)), "not finite or too large"),
    ],
)
def test_dense_refuses(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        opened(make_spec("dense", tensors=EIGHT), data)


def test_another_codec_or_size_is_refused() -> None:
    spec = make_spec(tensors=EIGHT)
    data = encode(spec, header(spec), make_values(8, "other"))
    for other in (make_spec("two-bit", tensors=EIGHT), make_spec()):
        with pytest.raises(FormatError, match="not the run's"):
            decode(other, data)


def test_square_error_on_bell_shaped_values() -> None:
    """The figures of spec/update.md: bits a value and square error relative to the values' own."""
    tensors = (TensorSpec("w", (200, 512), Init("zeros")),)
    values = make_values(200 * 512, "error")
    for codec, bits, error in (("ternary", 1.61, 0.195), ("two-bit", 2.01, 0.12)):
        spec = make_spec(codec, block=512, tensors=tensors)
        data = encode(spec, header(spec), values)
        lost = (decode(spec, data).values() - values).astype(np.float64)
        assert 8 * len(data) / values.size < bits
        assert float((lost**2).sum() / (values.astype(np.float64) ** 2).sum()) < error


def test_norm_of_a_long_block_is_exact() -> None:
    """A sum of squares far beyond 2^63 units: no overflow, no rounding."""
    spec = make_spec("dense", tensors=(TensorSpec("w", (100_000,), Init("zeros")),))
    values = np.full(100_000, np.nextafter(np.float32(1), np.float32(0)), dtype=np.float32)
    norm = decode(spec, encode(spec, header(spec), values)).norm_squared()
    assert norm == 100_000 * Fraction(float(values[0])) ** 2
