"""Certificates, revocation lists and signatures, checked by ourselves with `cryptography`.

What is Intel's is checked again by dcap-qvl, but before that: its certificate library ends the whole process where
names of a chain do not fit together, so bytes that nobody signed must not reach it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    SECP384R1,
    EllipticCurve,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm
from cryptography.utils import CryptographyDeprecationWarning

from attestrain.appraise.refused import Refused, require

P256, P384 = SECP256R1(), SECP384R1()
_NAMES = {P256.name: "P-256", P384.name: "P-384"}
_HASHES: dict[str, HashAlgorithm] = {P256.name: SHA256(), P384.name: SHA384()}
"""The hash that goes with a curve (RFC 7518, section 3.4)."""

UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    CryptographyDeprecationWarning,
)
"""What `cryptography` raises at certificates and lists that are none; it only warns of some, and a process may ask that
warnings be errors."""


def shown(seconds: int) -> str:
    """A time, in seconds since 1970, for messages. Block times may lie beyond the years that a calendar has."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"second {seconds}"


def read_chain(chain: Sequence[bytes], at: int, what: str) -> list[x509.Certificate]:
    """Read a chain in which each certificate is issued by the next, the last by itself, all valid at ``at``.

    Raises:
        Refused: it is no such chain, or its keys are not on P-256.
    """
    try:
        certificates = [x509.load_der_x509_certificate(item) for item in chain]
    except UNREADABLE as error:
        raise Refused(f"{what} cannot be read: {error}") from error
    for certificate, issuer in zip(certificates, [*certificates[1:], certificates[-1]], strict=True):
        require(certificate.serial_number > 0, f"{what} holds a certificate whose serial number is not positive")
        public_key(certificate, what)
        _check_authority(issuer, what)
        _check_issued(certificate, issuer, what)
        check_valid(certificate, at, what)
    return certificates


def public_key(certificate: x509.Certificate, what: str, curve: EllipticCurve = P256) -> EllipticCurvePublicKey:
    """The certificate's key.

    Raises:
        Refused: it is not on ``curve``.
    """
    try:
        key = certificate.public_key()
    except UNREADABLE as error:
        raise Refused(f"a key of {what} cannot be read: {error}") from error
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name != curve.name:
        raise Refused(f"a key of {what} is not on {_NAMES[curve.name]}")
    return key


def _check_authority(issuer: x509.Certificate, what: str) -> None:
    """RFC 5280, sections 4.2.1.3 and 4.2.1.9: an authority says that it is one, and that its key signs certificates."""
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except (*UNREADABLE, x509.ExtensionNotFound) as error:
        raise Refused(f"{what} holds an issuer that does not say it may issue: {error}") from error
    require(constraints.ca and usage.key_cert_sign, f"{what} holds an issuer that may not issue certificates")


def _check_issued(certificate: x509.Certificate, issuer: x509.Certificate, what: str) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
        same = certificate.issuer.public_bytes() == issuer.subject.public_bytes()
    except (*UNREADABLE, InvalidSignature) as error:
        raise Refused(f"{what} holds a certificate that the next one has not signed: {error}") from error
    require(same, f"{what} holds a certificate that names another issuer than the next one")


def check_valid(certificate: x509.Certificate, at: int, what: str) -> None:
    """The certificate counts at ``at``, in seconds since 1970.

    Raises:
        Refused: it does not.
    """
    try:
        begin = int(certificate.not_valid_before_utc.timestamp())
        end = int(certificate.not_valid_after_utc.timestamp())
    except UNREADABLE as error:
        raise Refused(f"{what} has dates that cannot be read: {error}") from error
    if not begin <= at <= end:
        raise Refused(f"{what} holds a certificate valid from {shown(begin)} to {shown(end)}, not at {shown(at)}")


def read_revocations(data: bytes, issuer: x509.Certificate, what: str) -> x509.CertificateRevocationList:
    """Read a revocation list that ``issuer`` signed.

    Raises:
        Refused: it cannot be read, or somebody else signed it.
    """
    try:
        revoked = x509.load_der_x509_crl(data)
        same = revoked.issuer.public_bytes() == issuer.subject.public_bytes()
        signed = revoked.is_signature_valid(public_key(issuer, what))
    except (*UNREADABLE, InvalidSignature) as error:
        raise Refused(f"{what} cannot be read: {error}") from error
    require(same and signed, f"{what} is not signed by its issuer")
    return revoked


def check_signed(key: EllipticCurvePublicKey, signature: bytes, message: bytes, what: str) -> None:
    """Check an ECDSA signature: SHA-256 on P-256 or SHA-384 on P-384, given as r and s of 32 or 48 bytes, big-endian.

    Raises:
        Refused: it does not hold.
    """
    size = (key.curve.key_size + 7) // 8
    r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
    try:
        key.verify(encode_dss_signature(r, s), message, ECDSA(_HASHES[key.curve.name]))
    except InvalidSignature as error:
        raise Refused(f"the signature of {what} does not hold") from error


def point_key(point: bytes, what: str) -> EllipticCurvePublicKey:
    """The P-256 key with these coordinates, 32 bytes each.

    Raises:
        Refused: there is none.
    """
    try:
        return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), b"\x04" + point)
    except ValueError as error:
        raise Refused(f"{what} is not on P-256") from error
