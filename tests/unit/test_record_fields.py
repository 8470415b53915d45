from __future__ import annotations

import pytest

from attestrain.errors import FormatError
from attestrain.record.fields import Fields, is_decimal

DECIMALS = ["0", "1", "-1", "0.95", "-0.5", "0.000000000000000001", "9999999999", "-0"]
OTHERS = [
    "", "+1", "01", "1.", ".5", "1e3", "1E3", "0x1", "inf", "nan", " 1", "1\n", "1_0",
    "12345678901", "0.1234567890123456789", "１", "٣", "1,5", "--1", None, 1, 0.5, True, ["1"],
]  # fmt: skip


@pytest.mark.parametrize("text", DECIMALS)
def test_decimals_are_recognised(text: str):
    assert is_decimal(text)


@pytest.mark.parametrize("text", OTHERS, ids=repr)
def test_other_spellings_are_no_decimals(text: object):
    assert not is_decimal(text)


def read(value: object) -> Fields:
    return Fields({"key": value}, ("key",), "document")


@pytest.mark.parametrize("value", [None, 1, "x", [], True])
def test_only_an_object_has_fields(value: object):
    with pytest.raises(FormatError, match="not an object"):
        Fields(value, (), "document")


def test_errors_name_the_place_and_quote_little_of_the_value():
    with pytest.raises(FormatError) as caught:
        read("x" * 10_000).integer("key", 0, 9)
    assert str(caught.value).startswith("document.key is not an integer in 0..9")
    assert len(str(caught.value)) < 200
    with pytest.raises(FormatError) as caught:
        Fields({"y" * 10_000: 1}, (), "document")
    assert len(str(caught.value)) < 300


def test_values_in_range_are_returned():
    assert read("text ~").text("key") == "text ~"
    assert read(9).integer("key", 0, 9) == 9
    assert read("0.950").decimal("key", 0, 1) == "0.950"
    assert read("a").choice("key", ("a", "b")) == "a"
    assert read("00" * 32).digest("key") == bytes(32)
    assert read({"a": 1}).object("key") == {"a": 1}
    assert read([1, 2]).array("key", max_length=2) == [1, 2]
    read("v1").constant("key", "v1")


@pytest.mark.parametrize("value", [None, 1, "", "é", "\t", "\x00", "a\x7f", "\u202etxt", "x" * 9], ids=repr)
def test_text_out_of_range_is_refused(value: object):
    if value == "":
        assert read(value).text("key") == ""
        return
    with pytest.raises(FormatError):
        read(value).text("key", max_length=8)


@pytest.mark.parametrize("value", [None, True, False, 10, -1, 5.0, "5", 10**400, [5]], ids=lambda v: str(v)[:9])
def test_an_integer_out_of_range_is_refused(value: object):
    with pytest.raises(FormatError):
        read(value).integer("key", 0, 9)


@pytest.mark.parametrize("value", ["-0.1", "1.000000000000000001", "2", "1e-1", 1, 0.5, None])
def test_a_decimal_out_of_range_is_refused(value: object):
    with pytest.raises(FormatError):
        read(value).decimal("key", 0, 1)


@pytest.mark.parametrize("value", [None, 1, "c", ["a"], {"a": 1}, True], ids=repr)
def test_what_is_no_choice_digest_object_or_array_is_refused(value: object):
    fields = read(value)
    with pytest.raises(FormatError):
        fields.choice("key", ("a", "b"))
    with pytest.raises(FormatError):
        fields.digest("key")
    with pytest.raises(FormatError):
        fields.constant("key", "v1")
    if not isinstance(value, dict):
        with pytest.raises(FormatError):
            fields.object("key")
    with pytest.raises(FormatError):
        fields.array("key", max_length=0)
