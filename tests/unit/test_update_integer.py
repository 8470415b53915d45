from __future__ import annotations

import numpy as np
import pytest

from attestrain.errors import FormatError
from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.record.spec import Codec
from attestrain.update.integer import Int4, Int8, Levels
from attestrain.update.sign import Sign

KINDS: tuple[type[Levels], ...] = (Int8, Int4)


def layout(*sizes: int) -> Layout:
    return Layout(tuple(TensorSpec(f"t{i}", (size,), Init("zeros")) for i, size in enumerate(sizes)))


def codec(block: int = 16) -> Codec:
    return Codec("", block, "1", {})


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def read(kind: type[Levels | Sign], count: int, body: bytes) -> np.ndarray:
    return kind.from_bytes(codec(), layout(count), memoryview(body)).values()


def test_int8_levels() -> None:
    body = Int8.quantise(codec(), layout(4), array(127.0, -1.5, 0.5, 63.6))
    assert body.to_bytes() == bytes([64, 0xFA, 127, 256 - 2, 0, 64])
    assert body.values().tolist() == [127, -2, 0, 64]


def test_int4_levels_two_a_byte() -> None:
    body = Int4.quantise(codec(), layout(5), array(7.0, -2.5, 0.5, -7.0, 3.4))
    assert body.to_bytes() == bytes([64, 0xFA, 0x7E, 0x09, 0x30])
    assert body.values().tolist() == [7, -2, 0, -7, 3]


def test_sign_is_the_mean_magnitude() -> None:
    body = Sign.quantise(codec(), layout(4), array(3.0, -1.0, 0.0, -4.0))
    assert body.to_bytes() == bytes([64, 0xFB, 0b01010000])
    assert body.values().tolist() == [2, -2, 2, -2]


@pytest.mark.parametrize("kind", [Int8, Int4, Sign])
def test_blocks_end_with_their_tensor_and_zeros_have_no_scale(kind: type[Levels | Sign]) -> None:
    body = kind.quantise(codec(2), layout(3, 2), array(1.0, 1.0, 0.0, -8.0, 8.0))
    assert body.to_bytes()[:6:2] == bytes([body.to_bytes()[0], 0, body.to_bytes()[4]])
    assert body.to_bytes()[3] == 0
    found = body.values()
    assert found[:2] == pytest.approx([1, 1], rel=1 / 64)
    assert found[2] == 0
    assert found[3:] == pytest.approx([-8, 8], rel=1 / 64)


@pytest.mark.parametrize("kind", [Int8, Int4, Sign])
def test_values_too_small_for_a_scale_become_zero(kind: type[Levels | Sign]) -> None:
    body = kind.quantise(codec(), layout(3), array(2.0**-116, 1e-42, -(2.0**-118)))
    assert not np.any(body.values())
    assert not any(body.to_bytes())


@pytest.mark.parametrize("kind", KINDS)
def test_the_largest_value_below_the_limit_comes_back_below_it(kind: type[Levels]) -> None:
    largest = np.nextafter(np.float32(2.0**106), np.float32(0))
    body = kind.quantise(codec(), layout(2), array(largest, -largest))
    found = kind.from_bytes(codec(), layout(2), memoryview(body.to_bytes())).values()
    assert np.all(np.abs(found) <= largest)
    assert np.all(np.abs(found) > largest * (1 - 1 / 64))


@pytest.mark.parametrize(("kind", "error"), [(Int8, 8e-5), (Int4, 0.022), (Sign, 0.37)])
def test_error_on_gaussian_values(kind: type[Levels | Sign], error: float) -> None:
    values = np.random.default_rng(1).standard_normal(20_000).astype(np.float32)
    found = kind.quantise(codec(512), layout(20_000), values).values()
    lost = np.sum((found - values) ** 2) / np.sum(values**2)
    assert error / 2 < lost < error


@pytest.mark.parametrize(
    ("kind", "count", "body", "reason"),
    [
        (Int8, 2, "40fa 7f80", "level -128"),
        (Int4, 2, "40fa 78", "level -8"),
        (Int4, 1, "40fa 71", "padding"),
        (Int8, 2, "40fa 7e01", "largest level"),
        (Int4, 2, "40fa 61", "largest level"),
        (Int8, 2, "40fa 0000", "largest level"),
        (Int8, 2, "0000 7f00", "largest level"),
        (Int8, 2, "0000 0001", "largest level"),
        (Int8, 2, "3ffa 7f00", "scale out of range"),
        (Int8, 2, "8000 7f00", "scale out of range"),
        (Int8, 2, "0001 0000", "scale out of range"),
        (Int8, 2, "4064 7f00", "too large"),
        (Int4, 2, "7f64 71", "too large"),
        (Int8, 2, "40fa 7f", "early"),
        (Int8, 2, "40fa 7f0000", "too many"),
        (Sign, 2, "0000 40", "negative zero"),
        (Sign, 2, "40fa 20", "padding"),
        (Sign, 2, "40fa", "early"),
        (Sign, 2, "40fa 4000", "too many"),
        (Sign, 2, "3ffa 40", "scale out of range"),
    ],
)
def test_refused(kind: type[Levels | Sign], count: int, body: str, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        read(kind, count, bytes.fromhex(body))


@pytest.mark.parametrize(("kind", "size"), [(Int8, 4 + 1001), (Int4, 4 + 501), (Sign, 4 + 126)])
def test_size(kind: type[Levels | Sign], size: int) -> None:
    values = np.linspace(-1, 1, 1001, dtype=np.float32)
    assert len(kind.quantise(codec(512), layout(1001), values).to_bytes()) == size
