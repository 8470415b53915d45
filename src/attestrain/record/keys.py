"""Signing keys: secp256k1 accounts, the same on and off the chain.

A signature is 65 bytes: r and s as 32-byte big-endian numbers, then v, 27 or 28. Of the two equivalent values of s only
the lower is made and accepted (EIP-2), so a signed document cannot be respelled by a stranger.
"""

from __future__ import annotations

import re

from coincurve import PrivateKey, PublicKey

from attestrain.errors import FormatError
from attestrain.record.eip712 import address_bytes, keccak256
from attestrain.record.names import Address

SECRET_SIZE = 32
SIGNATURE_SIZE = 65
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Number of points of the group (SEC 2, section 2.4.1)."""
V_OFFSET = 27
"""What the EVM's ecrecover adds to the recovery id."""

_SIGNATURE = re.compile(r"0x[0-9a-f]{130}\Z")


def parse_address(value: object) -> Address:
    """Read an account from a document.

    Raises:
        FormatError: not 0x and 40 lower-case hexadecimal digits.
    """
    return Address("0x" + address_bytes(value).hex())


def parse_signature(value: object) -> bytes:
    """Read a signature's 65 bytes from a document. What they prove is `recover`'s business.

    Raises:
        FormatError: not 0x and 130 lower-case hexadecimal digits.
    """
    if not isinstance(value, str) or not _SIGNATURE.match(value):
        raise FormatError(f"not a signature of 0x and 130 lower-case digits: {str(value)[:80]!r}")
    return bytes.fromhex(value[2:])


class SigningKey:
    """A secp256k1 secret and the account it controls.

    Args:
        secret: 32 bytes, a number between 1 and the group's order.

    Raises:
        FormatError: not such a number (the message never repeats the bytes).
    """

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SECRET_SIZE or not 0 < int.from_bytes(secret, "big") < ORDER:
            raise FormatError("a secp256k1 secret is 32 bytes between 1 and the group order")
        self._key = PrivateKey(secret)
        self.address = _address_of(self._key.public_key)

    @classmethod
    def generate(cls) -> SigningKey:
        """A fresh key from the operating system's randomness."""
        return cls(PrivateKey().secret)

    @classmethod
    def from_bytes(cls, secret: bytes) -> SigningKey:
        """The key with this secret (see the class for errors)."""
        return cls(secret)

    def to_bytes(self) -> bytes:
        """The secret itself, for the key store and nobody else."""
        return self._key.secret

    def sign(self, digest: bytes) -> bytes:
        """Signature over a 32-byte digest; deterministic (RFC 6979), so signing again gives the same bytes.

        Raises:
            ValueError: ``digest`` is not 32 bytes.
        """
        signature = self._key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([signature[64] + V_OFFSET])

    def __repr__(self) -> str:
        return f"SigningKey({self.address}, secret hidden)"


def recover(digest: bytes, signature: bytes) -> Address:
    """The account whose key signed ``digest``.

    Every well-formed signature recovers *some* account: compare it with the one expected.

    Args:
        digest: the 32 bytes that were signed.
        signature: 65 bytes r, s, v.

    Raises:
        FormatError: wrong length, v not 27 or 28, r or s out of range, the higher of the two s, or not on the curve.
    """
    if len(signature) != SIGNATURE_SIZE or signature[64] not in (V_OFFSET, V_OFFSET + 1):
        raise FormatError("a signature is 65 bytes r, s, v with v 27 or 28")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    if not 0 < r < ORDER or not 0 < s <= ORDER // 2:
        raise FormatError("signature values r and s are out of range, or s is the higher of the two")
    compact = signature[:64] + bytes([signature[64] - V_OFFSET])
    try:
        return _address_of(PublicKey.from_signature_and_message(compact, digest, hasher=None))
    except ValueError as error:
        raise FormatError(f"no key can have made this signature: {error}") from error


def _address_of(key: PublicKey) -> Address:
    point = key.format(compressed=False)[1:]
    return Address("0x" + keccak256(point)[-20:].hex())
