from __future__ import annotations

import pytest

from attestrain.errors import FormatError
from attestrain.record.eip712 import DOMAIN, encode_type, hash_struct, keccak256, signing_digest, type_hash


def test_keccak_is_the_one_of_the_evm():
    # The empty string's Keccak-256, Ethereum Yellow Paper section 4.1 (KEC of the empty byte array).
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_type_hash_of_the_example_in_eip_712():
    # EIP-712, test case Example.sol: keccak256("Person(string name,address wallet)") and the struct hash of Cow.
    person = (("name", "string"), ("wallet", "address"))
    assert type_hash("Person", person).hex() == "b9d8c78acf9b987311de6c7b45bb6a9c8e1bf361fa7fd3467a2163f994c79500"
    cow = {"name": "Cow", "wallet": "0xcd2a3d9f938e13cd947ec05abc7fe734df8dd826"}
    assert hash_struct("Person", person, cow).hex() == (
        "fc71e5fa27ff56c350aa531bc129ebdf613b772b6604664f5d8dbe21b85eb0c8"
    )


def test_domain_follows_from_its_written_form():
    parts = [b"EIP712Domain(string name,string version)", b"attestrain", b"1"]
    assert keccak256(b"".join(map(keccak256, parts))) == DOMAIN


def test_signing_digest_covers_name_members_and_values():
    fields = (("a", "uint8"), ("b", "uint8"))
    digests = {
        signing_digest("S", fields, {"a": 1, "b": 2}),
        signing_digest("T", fields, {"a": 1, "b": 2}),
        signing_digest("S", fields, {"a": 2, "b": 1}),
        signing_digest("S", fields[::-1], {"a": 1, "b": 2}),
        signing_digest("S", (("a", "uint16"), ("b", "uint8")), {"a": 1, "b": 2}),
    }
    assert len(digests) == 5


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256),
        ("uint8", -1),
        ("uint8", True),
        ("uint8", "1"),
        ("uint8", 1.0),
        ("uint256", 2**256),
        ("bool", 1),
        ("bool", None),
        ("bytes32", b"x" * 31),
        ("bytes32", b"x" * 33),
        ("bytes32", "x" * 32),
        ("bytes20", b"x" * 32),
        ("address", b"x" * 20),
        ("address", "0x" + "A" * 40),
        ("address", "0x" + "a" * 39),
        ("address", "0x" + "a" * 40 + "\n"),
        ("string", b"text"),
        ("string", "\ud800"),
        ("bytes", "text"),
        ("uint8[]", 1),
        ("uint8[]", [256]),
        ("string[]", "text"),
    ],
)
def test_values_out_of_their_types_range_are_refused_by_name(kind, value):
    with pytest.raises(FormatError, match=r"^S\.member: "):
        hash_struct("S", (("member", kind),), {"member": value})


@pytest.mark.parametrize("values", [{}, {"a": 1, "b": 2}, {"b": 1}])
def test_missing_and_superfluous_values_are_refused(values):
    with pytest.raises(FormatError, match="S wants the values a"):
        hash_struct("S", (("a", "uint8"),), values)


@pytest.mark.parametrize(
    "kind", ["uint", "uint7", "uint0", "uint264", "uint12", "int8", "bytes0", "bytes33", "Mail", ""]
)
def test_unknown_types_are_a_programming_error(kind):
    with pytest.raises(ValueError, match="cannot be encoded"):
        type_hash("S", (("a", kind),))


def test_a_member_named_twice_is_a_programming_error():
    with pytest.raises(ValueError, match="twice"):
        type_hash("S", (("a", "uint8"), ("a", "uint8")))


def test_a_type_without_members_has_a_text():
    assert encode_type("Nothing", ()) == "Nothing()"
