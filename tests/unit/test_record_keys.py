from __future__ import annotations

import pickle

import pytest

from attestrain.errors import FormatError
from attestrain.record.eip712 import keccak256
from attestrain.record.keys import ORDER, SigningKey, parse_address, parse_signature, recover

DIGEST = keccak256(b"message")
KEY = SigningKey(bytes(31) + b"\x01")
SIGNATURE = KEY.sign(DIGEST)


def change(at: int, value: bytes) -> bytes:
    return SIGNATURE[:at] + value + SIGNATURE[at + len(value) :]


def test_address_of_a_known_secret():
    # The account of secret 1, whose public key is the group's generator.
    assert KEY.address == "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"


def test_signing_is_deterministic_and_recovers_to_the_signer():
    assert KEY.sign(DIGEST) == SIGNATURE
    assert recover(DIGEST, SIGNATURE) == KEY.address
    assert recover(keccak256(b"other"), SIGNATURE) != KEY.address


def test_a_hundred_fresh_keys_make_low_s_signatures():
    for _ in range(100):
        key = SigningKey.generate()
        signature = key.sign(DIGEST)
        assert int.from_bytes(signature[32:64], "big") <= ORDER // 2
        assert signature[64] in (27, 28)
        assert recover(DIGEST, signature) == key.address
        assert SigningKey.from_bytes(key.to_bytes()).address == key.address


def test_the_other_spelling_of_a_signature_is_refused():
    s = int.from_bytes(SIGNATURE[32:64], "big")
    twin = SIGNATURE[:32] + (ORDER - s).to_bytes(32, "big") + bytes([27 + 28 - SIGNATURE[64]])
    with pytest.raises(FormatError, match="higher"):
        recover(DIGEST, twin)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        SIGNATURE[:64],
        SIGNATURE + b"\x00",
        change(64, b"\x00"),
        change(64, b"\x1d"),
        change(0, bytes(32)),
        change(32, bytes(32)),
        change(0, ORDER.to_bytes(32, "big")),
        change(32, ORDER.to_bytes(32, "big")),
        # 5 is not the x coordinate of a point: 5^3 + 7 has no square root in the field.
        change(0, (5).to_bytes(32, "big")),
    ],
)
def test_malformed_signatures_are_refused(signature):
    with pytest.raises(FormatError):
        recover(DIGEST, signature)


@pytest.mark.parametrize("secret", [b"", bytes(32), b"\x01" * 31, ORDER.to_bytes(32, "big"), b"\xff" * 32])
def test_impossible_secrets_are_refused_without_repeating_them(secret):
    with pytest.raises(FormatError) as error:
        SigningKey(secret)
    assert secret.hex() == "" or secret.hex() not in str(error.value)


def test_the_secret_is_never_printed():
    key = SigningKey.generate()
    for text in (repr(key), str(key), f"{key}", repr([key])):
        assert key.to_bytes().hex() not in text
        assert key.address in text
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_documents_forms():
    assert parse_address(KEY.address) == KEY.address
    assert parse_signature("0x" + SIGNATURE.hex()) == SIGNATURE


@pytest.mark.parametrize("value", [None, 1, "", "0x", KEY.address[2:], KEY.address.upper(), KEY.address + "\n", b"0x"])
def test_other_spellings_of_addresses_and_signatures_are_refused(value):
    with pytest.raises(FormatError):
        parse_address(value)
    with pytest.raises(FormatError):
        parse_signature(value)


@pytest.mark.parametrize("text", ["0x" + SIGNATURE.hex().upper(), SIGNATURE.hex(), "0x" + SIGNATURE.hex()[:-2]])
def test_other_spellings_of_a_signature_are_refused(text):
    with pytest.raises(FormatError):
        parse_signature(text)
