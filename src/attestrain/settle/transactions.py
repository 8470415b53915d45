"""Transactions: dynamic-fee ones (EIP-1559), signed with our own keys."""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.record.eip712 import address_bytes, keccak256
from attestrain.record.keys import V_OFFSET, SigningKey
from attestrain.record.names import Address
from attestrain.rules.rlp import Item, encode

TYPE = b"\x02"
"""First byte of a dynamic-fee transaction (EIP-2718)."""


@dataclass(frozen=True, slots=True)
class Fees:
    """Wei for a unit of gas: at most ``most`` in all, of which ``tip`` for whoever mines."""

    most: int
    tip: int


@dataclass(frozen=True, slots=True)
class Call:
    """What a transaction does: call data for a contract, or creation code and arguments if ``to`` is None."""

    to: Address | None
    data: bytes
    value: int


def sign_transaction(key: SigningKey, chain_id: int, nonce: int, call: Call, gas: int, fees: Fees) -> bytes:
    """The signed transaction's bytes, whose Keccak-256 is its name. Signing again gives the same bytes."""
    to = b"" if call.to is None else address_bytes(call.to)
    numbers = (chain_id, nonce, fees.tip, fees.most, gas)
    fields: list[Item] = [*map(_minimal, numbers), to, _minimal(call.value), call.data, []]
    signature = key.sign(keccak256(TYPE + encode(fields)))
    r, s = (int.from_bytes(signature[begin : begin + 32], "big") for begin in (0, 32))
    signed: list[Item] = [*fields, _minimal(signature[64] - V_OFFSET), _minimal(r), _minimal(s)]
    return TYPE + encode(signed)


def _minimal(value: int) -> bytes:
    """A number as RLP has it: the shortest big-endian bytes."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
