"""A Nitro document under a development root, in which tests change one thing."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP384R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding

from attestrain.appraise.attestation import Attestation
from attestrain.appraise.nitro.appraisal import appraise_nitro
from attestrain.appraise.nitro.cbor import head
from attestrain.record.digest import sha256

NOW = 1_780_000_000
HEADER = b"\xa1\x01\x38\x22"


def encode(value: Any) -> bytes:
    """CBOR of what a document holds."""
    if value is None:
        return b"\xf6"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(encode, value))
    return head(5, len(value)) + b"".join(encode(key) + encode(item) for key, item in value.items())


@dataclass(frozen=True)
class Chain:
    """Keys and certificates, leaf first."""

    keys: tuple[EllipticCurvePrivateKey, ...]
    certificates: tuple[bytes, ...]


def issue(
    subject: str,
    key: EllipticCurvePrivateKey,
    issuer: str,
    by: EllipticCurvePrivateKey,
    ca: bool,
    path: int | None = None,
) -> bytes:
    name = [
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"DEVELOPMENT ONLY {item}")])
        for item in (subject, issuer)
    ]
    start = datetime.fromtimestamp(NOW, UTC) - timedelta(hours=1)
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name[0])
        .issuer_name(name[1])
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(hours=3))
        .add_extension(x509.BasicConstraints(ca, path), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **usage), critical=True)
    )
    return builder.sign(by, SHA384()).public_bytes(Encoding.DER)


@functools.cache
def chain(*, ca: bool = True, path: int | None = None, root_path: int | None = None) -> Chain:
    """Leaf, authority and root: whether the authority is one, and how many each lets stand below."""
    keys = tuple(generate_private_key(SECP384R1()) for _ in range(3))
    leaf = issue("leaf", keys[0], "authority", keys[1], ca=False)
    authority = issue("authority", keys[1], "root", keys[2], ca=ca, path=path)
    root = issue("root", keys[2], "root", keys[2], ca=True, path=root_path)
    return Chain(keys, (leaf, authority, root))


@dataclass(frozen=True)
class World:
    """A document and the time at which it is judged."""

    payload: dict[str, Any]
    chain: Chain = field(default_factory=chain)
    at: int = NOW
    header: bytes = HEADER
    unprotected: dict[str, Any] = field(default_factory=dict)

    def document(self) -> bytes:
        body = encode(self.payload)
        to_sign = encode(["Signature1", self.header, b"", body])
        r, s = decode_dss_signature(self.chain.keys[0].sign(to_sign, ECDSA(SHA384())))
        return encode([self.header, self.unprotected, body, r.to_bytes(48, "big") + s.to_bytes(48, "big")])

    def judge(self, document: bytes | None = None) -> Attestation:
        root = sha256(self.chain.certificates[-1])
        return appraise_nitro(self.document() if document is None else document, self.at, roots=[root])


def payload(made: Chain, **changes: Any) -> dict[str, Any]:
    leaf, *above = made.certificates
    return {
        "module_id": "i-development-enc",
        "digest": "SHA384",
        "timestamp": NOW * 1000,
        "pcrs": {0: b"\1" * 48, 1: b"\2" * 48, 2: b"\3" * 48},
        "certificate": leaf,
        "cabundle": above[::-1],
        "public_key": None,
        "user_data": b"bound",
        "nonce": None,
    } | changes


def world(made: Chain | None = None, **changes: Any) -> World:
    """An honest world but for ``changes`` of the payload."""
    given = made or chain()
    return World(payload(given, **changes), given)
