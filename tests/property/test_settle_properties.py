"""Our few lines of ABI and transactions against those of eth-abi and eth-account."""

from __future__ import annotations

import eth_abi.abi
import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from attestrain.errors import FormatError
from attestrain.record.eip712 import keccak256
from attestrain.record.keys import ORDER, SigningKey
from attestrain.settle.abi import decode, encode
from attestrain.settle.transactions import Call, Fees, sign_transaction

ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda data: "0x" + data.hex())
ATOMS = {
    "uint8": st.integers(0, 2**8 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "uint128": st.integers(0, 2**128 - 1),
    "uint256": st.integers(0, 2**256 - 1),
    "address": ADDRESSES,
    "bytes32": st.binary(min_size=32, max_size=32),
    "bool": st.booleans(),
}
VALUES = {**ATOMS, **{f"{kind}[]": st.lists(values, max_size=4) for kind, values in ATOMS.items()}}
ARGUMENTS = st.lists(st.sampled_from(sorted(VALUES)), max_size=6).flatmap(
    lambda kinds: st.tuples(st.just(kinds), st.tuples(*(VALUES[kind] for kind in kinds)))
)


@given(ARGUMENTS)
def test_arguments_are_encoded_as_eth_abi_does_and_read_back(arguments):
    kinds, values = arguments
    data = encode(kinds, values)
    assert data == eth_abi.abi.encode(kinds, values)
    assert decode(kinds, data) == tuple(list(value) if isinstance(value, list) else value for value in values)


@given(st.sampled_from(sorted(VALUES)), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(kind, data):
    try:
        (value,) = decode([kind], data)
    except FormatError:
        return
    if not kind.endswith("[]"):
        assert encode([kind], [value]) == data[:32]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256),
        ("uint8", -1),
        ("uint8", True),
        ("uint8", "1"),
        ("address", "0xAb" + "00" * 19),
        ("address", b"\x00" * 20),
        ("bytes32", b"\x00" * 31),
        ("bytes32", "0x" + "00" * 32),
        ("uint8[]", 1),
        ("uint8[]", [256]),
    ],
)
def test_values_that_do_not_fit_are_refused(kind, value):
    with pytest.raises(FormatError):
        encode([kind], [value])


def test_more_values_than_arguments_are_refused():
    with pytest.raises(FormatError):
        encode(["uint8"], [1, 2])


@pytest.mark.parametrize("kind", ["int8", "string", "bytes", "uint8[2]", "bool[][]"])
def test_types_that_no_contract_of_ours_has_are_refused(kind):
    with pytest.raises((ValueError, FormatError)):
        encode([kind], [[[0]]])


@given(
    st.integers(1, ORDER - 1),
    st.integers(1, 2**53 - 1),
    st.integers(0, 2**64 - 1),
    st.one_of(st.none(), ADDRESSES),
    st.binary(max_size=300),
    st.integers(0, 2**100),
    st.integers(21_000, 30_000_000),
    st.integers(0, 2**80),
)
def test_transactions_are_signed_as_eth_account_does(secret, chain_id, nonce, to, data, value, gas, most):
    key = SigningKey(secret.to_bytes(32, "big"))
    raw = sign_transaction(key, chain_id, nonce, Call(to, data, value), gas, Fees(most, most // 2))
    fields = {
        "type": 2,
        "chainId": chain_id,
        "nonce": nonce,
        "gas": gas,
        "maxFeePerGas": most,
        "maxPriorityFeePerGas": most // 2,
        "value": value,
        "data": data,
        "accessList": (),
        **({} if to is None else {"to": bytes.fromhex(to[2:])}),
    }
    signed = Account.sign_transaction(fields, key.to_bytes())
    assert raw == bytes(signed.raw_transaction)
    assert keccak256(raw) == bytes(signed.hash)
    assert Account.recover_transaction(raw).lower() == key.address
