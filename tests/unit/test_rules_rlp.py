from __future__ import annotations

import pytest
import rlp

from attestrain.errors import FormatError
from attestrain.rules.rlp import MAX_ITEMS, decode, decode_list, encode, encode_integer, integer

VALUES = [b"", b"\x00", b"\x7f", b"\x80", b"dog", bytes(55), bytes(56), bytes(300), [], [b"cat", [b"dog", []]], [[[]]]]


@pytest.mark.parametrize("value", VALUES)
def test_encoding_is_that_of_the_reference_library(value: object) -> None:
    data = rlp.encode(value)
    assert encode(value) == data  # type: ignore[arg-type]
    assert decode(data) == value


@pytest.mark.parametrize("value", [0, 1, 127, 128, 255, 256, 2**64 - 1])
def test_integers_are_shortest(value: int) -> None:
    assert encode_integer(value) == rlp.encode(value)
    assert integer(decode(encode_integer(value)), 8) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x81\x7f",  # a small byte the long way
        b"\xb8\x37" + bytes(55),  # a short string the long way
        b"\xb9\x00\x38" + bytes(56),  # a length with a leading zero
        b"\xb8",
        b"\x83do",
        b"\xc2\x83",
        b"\xc1\x82ab",  # an item that reaches beyond its list
        b"dog",
        b"\xc0\x00",
        b"\xbf" + b"\xff" * 8,
        b"\xff" + b"\xff" * 8,
        b"\xc5" * 5 + b"\xc0",
        rlp.encode([[[[[]]]]]),
        rlp.encode([b""] * (MAX_ITEMS + 1)),
    ],
)
def test_any_other_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        decode(data)


@pytest.mark.parametrize("item", [[], b"\x00", b"\x00\x01", bytes([1] * 9)])
def test_what_is_no_integer_is_refused(item: object) -> None:
    with pytest.raises(FormatError, match="not an integer of at most 8 bytes"):
        integer(item, 8)  # type: ignore[arg-type]


def test_a_string_is_no_list() -> None:
    with pytest.raises(FormatError, match="not a list"):
        decode_list(b"\x83dog")


def test_only_bytes_and_lists_have_an_encoding() -> None:
    with pytest.raises(TypeError, match="int has no RLP encoding"):
        encode([1])
