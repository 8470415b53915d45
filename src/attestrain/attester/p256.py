"""P-256 keys as quotes and their collateral use them: signatures of 64 bytes, keys by their coordinates."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from attestrain.errors import FormatError
from attestrain.record.fields import Fields

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Number of points of the group (FIPS 186-5 by way of SP 800-186, section 3.2.1.3)."""


def new_key() -> EllipticCurvePrivateKey:
    """A fresh key from the operating system's randomness."""
    return generate_private_key(SECP256R1())


def sign_raw(key: EllipticCurvePrivateKey, message: bytes) -> bytes:
    """ECDSA with SHA-256 as r and s, 32 bytes each, big-endian."""
    r, s = decode_dss_signature(key.sign(message, ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def public_bytes(key: EllipticCurvePrivateKey) -> bytes:
    """The public point's coordinates, 32 bytes each, big-endian."""
    numbers = key.public_key().public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def secret_hex(key: EllipticCurvePrivateKey) -> str:
    """The secret number, for a private file and nothing else."""
    return key.private_numbers().private_value.to_bytes(32, "big").hex()


def read_secret(fields: Fields, name: str) -> EllipticCurvePrivateKey:
    """Read a secret that `secret_hex` wrote.

    Raises:
        FormatError: not a number between 1 and the group's order (the message never repeats it).
    """
    try:
        secret = int.from_bytes(fields.digest(name), "big")
    except FormatError:
        secret = 0
    if not 0 < secret < ORDER:
        raise FormatError(f"{name} is not the secret of a P-256 key")
    return derive_private_key(secret, SECP256R1())
