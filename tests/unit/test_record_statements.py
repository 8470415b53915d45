from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from attestrain.errors import FormatError
from attestrain.record.eip712 import DOMAIN_NAME, DOMAIN_VERSION, keccak256
from attestrain.record.keys import ORDER
from attestrain.record.names import SOLIDITY, RunId, Text
from attestrain.record.statements import KINDS, MAX_STATEMENT, Finding, Join, LogOpen, Receipt, Signed, Statement, sign
from tests.vectors.refused import place
from tests.vectors.stories import chain_story
from tests.vectors.teller import key

SAID = chain_story().said
EXAMPLES = {kind.__name__: SAID[place(SAID, kind)] for kind in KINDS.values()}
EVERY_KIND = pytest.mark.parametrize("name", EXAMPLES)


def spelled(document: dict[str, Any]) -> bytes:
    """Canonical spelling even of what has no place in a document."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@EVERY_KIND
def test_an_entry_reads_back_to_the_same_statement_signer_and_bytes(name: str):
    signed = EXAMPLES[name].signed
    read = Signed.from_bytes(signed.to_bytes())
    assert read == signed
    assert read.to_bytes() == signed.to_bytes()
    assert read.signer() == EXAMPLES[name].key.address
    assert len(signed.to_bytes()) < MAX_STATEMENT


@EVERY_KIND
def test_signing_agrees_with_an_independent_implementation(name: str):
    item = EXAMPLES[name]
    members = item.statement.type_fields()
    signable = encode_typed_data(
        {"name": DOMAIN_NAME, "version": DOMAIN_VERSION},
        {name: [{"name": member, "type": kind} for member, kind in members]},
        {member: getattr(item.statement, member) for member, _ in members},
    )
    digest = keccak256(b"\x19" + signable.version + signable.header + signable.body)
    assert digest == item.statement.signing_digest()
    assert bytes(Account.sign_message(signable, item.key.to_bytes()).signature) == item.signed.signature


@EVERY_KIND
def test_signing_again_gives_the_same_bytes(name: str):
    item = EXAMPLES[name]
    assert sign(item.statement, item.key).to_bytes() == item.signed.to_bytes()


def other_value(value: object, name: str) -> object:
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:]
    if isinstance(value, int):
        return value + 1
    return key("other").address if str(value).startswith("0x") else f"{value}{name[:1]}"


@EVERY_KIND
def test_every_quantity_is_signed(name: str):
    statement = EXAMPLES[name].statement
    digests = {statement.signing_digest()}
    for field in fields(statement):
        changed = replace(statement, **{field.name: other_value(getattr(statement, field.name), field.name)})
        digests.add(changed.signing_digest())
    assert len(digests) == 1 + len(fields(statement))


def test_kinds_with_equal_quantities_have_different_digests():
    assert len({item.statement.signing_digest() for item in EXAMPLES.values()}) == len(EXAMPLES)
    assert len({kind.FORMAT for kind in KINDS.values()}) == len(KINDS) == 11


@EVERY_KIND
def test_a_missing_or_superfluous_field_is_refused(name: str):
    document = json.loads(EXAMPLES[name].signed.to_bytes())
    for field in document:
        with pytest.raises(FormatError):
            Signed.from_bytes(spelled({key_: value for key_, value in document.items() if key_ != field}))
    with pytest.raises(FormatError, match="unknown or missing"):
        Signed.from_bytes(spelled(document | {"note": "x"}))


WRONG: dict[str, list[object]] = {
    "bytes32": [None, 1, "", "00" * 31, "00" * 33, "0x" + "00" * 31, "AA" * 32, "zz" * 32, ["00" * 32], "٠" * 64],
    "uint32": [None, True, -1, 2**32, 2**53, 2**64, 10**400, 1.0, 1.5, "1", [1], {}],
    "uint64": [None, False, -1, 2**53, 2**64, 10**400, 0.5, 1e300, "1", [1]],
    "address": [None, 1, "0x" + "00" * 19, "00" * 20, "0x" + "AA" * 20, "0X" + "00" * 20, "0x" + "00" * 20 + "\n"],
    "string": [None, 1, True, ["x"], "x" * 257, "line\nbreak", "\x1b[31m", "\x7f", "é", "\u202e", "\ud800"],
}


@EVERY_KIND
def test_every_quantity_out_of_its_type_is_refused(name: str):
    document = json.loads(EXAMPLES[name].signed.to_bytes())
    for field in fields(EXAMPLES[name].statement):
        for wrong in WRONG[SOLIDITY[str(field.type)]]:
            try:
                data = spelled(document | {field.name: wrong})
            except UnicodeEncodeError:
                data = json.dumps(document | {field.name: wrong}, sort_keys=True, separators=(",", ":")).encode()
            with pytest.raises(FormatError):
                Signed.from_bytes(data)


@pytest.mark.parametrize(
    "format_",
    [None, 1, [], "", "attestrain.dev/receipt@v2", "receipt", "attestrain.dev/join@v1", ["attestrain.dev/join@v2"]],
)
def test_an_unknown_format_is_refused(format_: object):
    document = json.loads(EXAMPLES["Join"].signed.to_bytes())
    with pytest.raises(FormatError):
        Signed.from_bytes(spelled(document | {"format": format_}))


def test_a_join_of_the_first_version_is_refused():
    document = json.loads(EXAMPLES["Join"].signed.to_bytes())
    first = {name: value for name, value in document.items() if name not in ("until", "evidence")}
    with pytest.raises(FormatError, match="unknown statement"):
        Signed.from_bytes(spelled(first | {"format": "attestrain.dev/join@v1"}))


def test_a_statement_cannot_be_passed_off_as_another_kind():
    document = json.loads(EXAMPLES["RoundOpen"].signed.to_bytes())
    with pytest.raises(FormatError):
        Signed.from_bytes(spelled(document | {"format": "attestrain.dev/aggregated@v1"}))


@pytest.mark.parametrize(
    "signature", [None, 1, "", "0x", "0x" + "00" * 64, "00" * 65, "0x" + "AA" * 65, "0x" + "00" * 66]
)
def test_a_misspelled_signature_is_refused(signature: object):
    document = json.loads(EXAMPLES["Join"].signed.to_bytes())
    with pytest.raises(FormatError):
        Signed.from_bytes(spelled(document | {"signature": signature}))


def test_a_signature_has_no_second_spelling():
    signed = EXAMPLES["Receipt"].signed
    high = (ORDER - int.from_bytes(signed.signature[32:64], "big")).to_bytes(32, "big")
    twin = Signed(signed.statement, signed.signature[:32] + high + bytes([55 - signed.signature[64]]))
    with pytest.raises(FormatError, match="higher of the two"):
        twin.signer()


@pytest.mark.parametrize("change", [b" ", b"\n", b"\x00"])
def test_other_spellings_of_an_entry_are_refused(change: bytes):
    data = EXAMPLES["Receipt"].signed.to_bytes()
    for spelling in (data + change, change + data, data.replace(b":", b": ", 1)):
        with pytest.raises(FormatError):
            Signed.from_bytes(spelling)


def test_repeated_keys_and_other_orders_are_refused():
    data = EXAMPLES["Receipt"].signed.to_bytes()
    with pytest.raises(FormatError):
        Signed.from_bytes(data.replace(b'"round":0', b'"round":0,"round":0'))
    reordered = json.dumps(dict(reversed(json.loads(data).items())), separators=(",", ":")).encode()
    with pytest.raises(FormatError):
        Signed.from_bytes(reordered)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"{" * 5000, b"\xff", b'{"format":1e999}', b" " * 9000])
def test_what_is_no_entry_is_refused(data: bytes):
    with pytest.raises(FormatError):
        Signed.from_bytes(data)


def test_a_changed_entry_has_another_signer():
    signed = EXAMPLES["Receipt"].signed
    assert isinstance(signed.statement, Receipt)
    changed = Signed(replace(signed.statement, run=RunId(bytes(32))), signed.signature)  # type: ignore[arg-type]
    assert changed.signer() != signed.signer()


def test_the_longest_statement_fits():
    for kind in (LogOpen, Join, Finding):
        statement: Statement = EXAMPLES[kind.__name__].statement
        texts = {field.name: Text('"' * 256) for field in fields(kind) if str(field.type) == "Text"}
        data = sign(replace(statement, **texts), key("x")).to_bytes()
        assert Signed.from_bytes(data).to_bytes() == data
        assert len(data) < MAX_STATEMENT
