from __future__ import annotations

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from attestrain.errors import FormatError
from attestrain.record.eip712 import encode_type, keccak256, signing_digest
from attestrain.record.keys import ORDER, SigningKey, recover

IDENTIFIER = st.from_regex(r"[a-z][A-Za-z0-9_]{0,11}", fullmatch=True)
TYPES = st.sampled_from(
    [f"uint{bits}" for bits in range(8, 257, 8)] + [f"bytes{n}" for n in range(1, 33)] + ["address", "bool", "string"]
) | st.just("bytes")


def values_of(kind: str) -> st.SearchStrategy[object]:
    if kind.endswith("[]"):
        return st.lists(values_of(kind[:-2]), max_size=3)
    if kind.startswith("uint"):
        return st.integers(0, 2 ** int(kind[4:]) - 1)
    if kind == "bytes":
        return st.binary(max_size=70)
    if kind.startswith("bytes"):
        return st.binary(min_size=int(kind[5:]), max_size=int(kind[5:]))
    if kind == "address":
        return st.binary(min_size=20, max_size=20).map(lambda data: "0x" + data.hex())
    return st.booleans() if kind == "bool" else st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@st.composite
def structures(draw):
    kinds = st.builds(lambda kind, tail: kind + tail, TYPES, st.sampled_from(["", "", "[]"]))
    fields = draw(st.lists(st.tuples(IDENTIFIER, kinds), min_size=1, max_size=6, unique_by=lambda field: field[0]))
    values = {name: draw(values_of(kind)) for name, kind in fields}
    return "S" + draw(IDENTIFIER), tuple(fields), values


def oracle(name: str, fields, values) -> SignableMessage:
    return encode_typed_data(
        {"name": "attestrain", "version": "1"}, {name: [{"name": n, "type": t} for n, t in fields]}, values
    )


@given(structures())
def test_digest_equals_an_independent_implementation(structure):
    message = oracle(*structure)
    assert signing_digest(*structure) == keccak256(b"\x19" + message.version + message.header + message.body)


@given(structures(), st.integers(1, ORDER - 1).map(lambda secret: secret.to_bytes(32, "big")))
def test_signature_equals_an_independent_implementation(structure, secret):
    key = SigningKey(secret)
    signature = key.sign(signing_digest(*structure))
    theirs = Account.sign_message(oracle(*structure), secret)
    assert signature == bytes(theirs.signature)
    assert key.address == Account.from_key(secret).address.lower()
    assert recover(signing_digest(*structure), signature) == key.address


@given(st.binary(min_size=65, max_size=65), st.binary(min_size=32, max_size=32))
def test_arbitrary_signatures_recover_or_fail_in_the_one_way(signature, digest):
    for v in (27, 28):
        try:
            address = recover(digest, signature[:64] + bytes([v]))
        except FormatError:
            continue
        assert len(address) == 42


def test_type_text():
    assert encode_type("Mail", (("to", "address"), ("lines", "string[]"))) == "Mail(address to,string[] lines)"
