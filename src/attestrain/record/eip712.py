"""EIP-712: what exactly is signed when a statement is signed, so that a contract can check the very same bytes.

An encoder of our own, because verification hashes thousands of statements: the digest of a flat record costs two or
three Keccak calls and no import of a chain library. The test suite holds it against an independent implementation.
Structures are flat: atomic members, strings, byte strings and arrays of those. That is all the statements need.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from Crypto.Hash import keccak

from attestrain.errors import FormatError

Field = tuple[str, str]
"""A member: its name and its Solidity type."""
Members = tuple[Field, ...]
"""The members of a structure, in order. A tuple, so that what follows from it can be cached."""

WORD = 32
"""Bytes in an encoded member."""
MAX_TYPES = 256
"""Structure types remembered: a run has about ten; the bound keeps a caller that invents types from growing memory."""

_Encoder = Callable[[object], bytes]

_UINT = re.compile(r"uint(8|16|24|32|40|48|56|64|72|80|88|96|1[0-9]{2}|2[0-5][0-9])\Z")
_FIXED = re.compile(r"bytes([1-9]|[12][0-9]|3[0-2])\Z")
_ADDRESS = re.compile(r"0x[0-9a-f]{40}\Z")


def keccak256(data: bytes) -> bytes:
    """Keccak-256 as the EVM computes it (the padding before FIPS 202, so not SHA3-256)."""
    return keccak.new(data=data, digest_bits=256).digest()


def address_bytes(value: object) -> bytes:
    """The 20 bytes of an address in its document form, 0x and 40 lower-case hexadecimal digits.

    Raises:
        FormatError: anything else, mixed-case checksummed forms included: one value has one spelling.
    """
    if not isinstance(value, str) or not _ADDRESS.match(value):
        raise FormatError(f"not an address of 0x and 40 lower-case digits: {str(value)[:80]!r}")
    return bytes.fromhex(value[2:])


def encode_type(name: str, fields: Members) -> str:
    """The type's text, such as ``Mail(address to,string body)`` (EIP-712, definition of encodeType)."""
    return f"{name}({','.join(f'{kind} {member}' for member, kind in fields)})"


def type_hash(name: str, fields: Members) -> bytes:
    """Keccak-256 of the type's text.

    Raises:
        ValueError: a member's type is not one of those this encoder knows.
    """
    return _structure(name, fields)[0]


def hash_struct(name: str, fields: Members, values: Mapping[str, object]) -> bytes:
    """Hash of one structure: Keccak-256 of the type hash and the encoded members.

    Args:
        name: the structure's type name.
        fields: its members.
        values: exactly one value for each. Integers and booleans as themselves, ``bytesN`` and ``bytes`` as bytes,
            ``address`` as text, ``string`` as text, arrays as lists or tuples.

    Raises:
        FormatError: a value is missing, superfluous, of the wrong type or out of its type's range.
        ValueError: a member's type is not one of those this encoder knows.
    """
    hashed, encoders = _structure(name, fields)
    if values.keys() != encoders.keys():
        raise FormatError(f"{name} wants the values {', '.join(encoders)}")
    parts = [hashed]
    for member, encode in encoders.items():
        try:
            parts.append(encode(values[member]))
        except FormatError as error:
            raise FormatError(f"{name}.{member}: {error}") from error
    return keccak256(b"".join(parts))


@lru_cache(maxsize=MAX_TYPES)
def _structure(name: str, fields: Members) -> tuple[bytes, dict[str, _Encoder]]:
    encoders = {member: _encoder(kind) for member, kind in fields}
    if len(encoders) != len(fields):
        raise ValueError(f"{name} names a member twice")
    return keccak256(encode_type(name, fields).encode("ascii")), encoders


def _encoder(kind: str) -> _Encoder:
    if kind.endswith("[]"):
        return _array(_encoder(kind[:-2]))
    if (match := _UINT.match(kind)) and int(match[1]) % 8 == 0:
        return _unsigned(int(match[1]))
    if match := _FIXED.match(kind):
        return _fixed(int(match[1]))
    try:
        return _SIMPLE[kind]
    except KeyError:
        raise ValueError(f"type {kind!r} cannot be encoded") from None


def _unsigned(bits: int) -> _Encoder:
    limit = 1 << bits

    def encode(value: object) -> bytes:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < limit:
            raise FormatError(f"{str(value)[:80]} is not a uint{bits}")
        return value.to_bytes(WORD, "big")

    return encode


def _fixed(size: int) -> _Encoder:
    def encode(value: object) -> bytes:
        if not isinstance(value, bytes) or len(value) != size:
            raise FormatError(f"not {size} bytes")
        return value.ljust(WORD, b"\x00")

    return encode


def _array(item: _Encoder) -> _Encoder:
    def encode(value: object) -> bytes:
        if not isinstance(value, list | tuple):
            raise FormatError("not an array")
        return keccak256(b"".join(map(item, value)))

    return encode


def _address(value: object) -> bytes:
    return address_bytes(value).rjust(WORD, b"\x00")


def _bool(value: object) -> bytes:
    if not isinstance(value, bool):
        raise FormatError("not a boolean")
    return int(value).to_bytes(WORD, "big")


def _string(value: object) -> bytes:
    if not isinstance(value, str):
        raise FormatError("not text")
    try:
        return keccak256(value.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise FormatError("text with a lone surrogate has no encoding") from error


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise FormatError("not bytes")
    return keccak256(value)


_SIMPLE: dict[str, _Encoder] = {"address": _address, "bool": _bool, "string": _string, "bytes": _bytes}

DOMAIN_NAME = "attestrain"
DOMAIN_VERSION = "1"
DOMAIN = hash_struct(
    "EIP712Domain",
    (("name", "string"), ("version", "string")),
    {"name": DOMAIN_NAME, "version": DOMAIN_VERSION},
)
"""The domain separator. Without chain or contract: statements are made before a chain is chosen and name their run."""


def signing_digest(name: str, fields: Members, values: Mapping[str, object]) -> bytes:
    """The 32 bytes a key signs for one structure: Keccak-256 of 0x1901, the domain separator and the structure's hash.

    Raises:
        FormatError, ValueError: as `hash_struct`.
    """
    return keccak256(b"\x19\x01" + DOMAIN + hash_struct(name, fields, values))
