"""Arguments and results of contract calls as bytes: the part of Solidity's ABI that our contracts use.

Words of 32 bytes for numbers, addresses, booleans and bytes32, and arrays of those (Solidity documentation, "Contract
ABI Specification"). Reading is strict: what has another length, or bits where there should be none, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from attestrain.errors import FormatError
from attestrain.record.eip712 import WORD, address_bytes

MAX_ARRAY = 1 << 16
"""Longest array read: a committee has at most sixteen, a payout proof as many as its tree is deep."""

_UINT = re.compile(r"uint(8|16|32|64|128|256)\Z")


def encode(types: Sequence[str], values: Sequence[object]) -> bytes:
    """Encode ``values`` as ``types``. Addresses are text in their document form, bytes32 are bytes.

    Raises:
        FormatError: a value does not fit its type, or there are more or fewer than types.
        ValueError: a type is none that our contracts use.
    """
    if len(types) != len(values):
        raise FormatError(f"{len(values)} values for {len(types)} arguments")
    heads, tail = [], b""
    for kind, value in zip(types, values, strict=True):
        if kind.endswith("[]"):
            heads.append(_number(WORD * len(types) + len(tail)))
            tail += _encode_array(kind[:-2], value)
        else:
            heads.append(_encode_word(kind, value))
    return b"".join(heads) + tail


def decode(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Read values of ``types`` from ``data``. Addresses come as lower-case text.

    Raises:
        FormatError: too short, or a word is out of its type's range.
        ValueError: a type is none that our contracts use.
    """
    return tuple(_decode_at(kind, data, WORD * index) for index, kind in enumerate(types))


def _encode_array(kind: str, value: object) -> bytes:
    if not isinstance(value, list | tuple):
        raise FormatError("not an array")
    return _number(len(value)) + b"".join(_encode_word(kind, item) for item in value)


def _encode_word(kind: str, value: object) -> bytes:
    if match := _UINT.match(kind):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << int(match[1]):
            raise FormatError(f"{str(value)[:80]} is not a {kind}")
        return _number(value)
    if kind == "address":
        return address_bytes(value).rjust(WORD, b"\x00")
    if kind == "bytes32":
        if not isinstance(value, bytes) or len(value) != WORD:
            raise FormatError("not 32 bytes")
        return value
    if kind == "bool" and isinstance(value, bool):
        return _number(int(value))
    raise ValueError(f"{kind} cannot be encoded")


def _decode_at(kind: str, data: bytes, at: int) -> Any:
    if not kind.endswith("[]"):
        return _decode_word(kind, _word(data, at))
    begin = int.from_bytes(_word(data, at), "big")
    length = int.from_bytes(_word(data, begin), "big")
    if length > MAX_ARRAY:
        raise FormatError(f"array of {length} is longer than {MAX_ARRAY}")
    return [_decode_word(kind[:-2], _word(data, begin + WORD * (index + 1))) for index in range(length)]


def _decode_word(kind: str, value: bytes) -> Any:
    if kind == "bytes32":
        return value
    number = int.from_bytes(value, "big")
    if kind == "address":
        if number >> 160:
            raise FormatError("word is not an address")
        return "0x" + value[-20:].hex()
    if kind == "bool":
        if number > 1:
            raise FormatError("word is not a boolean")
        return bool(number)
    match = _UINT.match(kind)
    if match is None:
        raise ValueError(f"{kind} cannot be decoded")
    if number >> int(match[1]):
        raise FormatError(f"word is not a {kind}")
    return number


def _word(data: bytes, at: int) -> bytes:
    if at + WORD > len(data):
        raise FormatError(f"{len(data)} bytes end before word {at // WORD}")
    return data[at : at + WORD]


def _number(value: int) -> bytes:
    return value.to_bytes(WORD, "big")
