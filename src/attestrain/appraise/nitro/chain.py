"""Certificates of Nitro documents (RFC 5280): each signed by the next, all valid, all in their roles."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from attestrain.appraise.refused import Refused, require
from attestrain.appraise.signatures import UNREADABLE, shown

CHAIN = "the Nitro document's certificate chain"
COORDINATE = 48
"""Bytes of r and of s: P-384."""


def check_chain(chain: Sequence[bytes], at: int) -> EllipticCurvePublicKey:
    """The key of a chain's leaf, once the chain holds up to its last certificate, which issues itself.

    Args:
        chain: certificates (DER), leaf first.
        at: when all of them have to be valid, in seconds since 1970.

    Raises:
        Refused: it does not hold, or its keys are not on P-384.
    """
    try:
        certificates = [x509.load_der_x509_certificate(item) for item in chain]
        issuers = [*certificates[1:], certificates[-1]]
        # From the root down: of a certificate that nobody known has signed, nothing else is interpreted.
        for below, (certificate, issuer) in reversed(list(enumerate(zip(certificates, issuers, strict=True)))):
            certificate.verify_directly_issued_by(issuer)
            _check_valid(certificate, at)
            _check_role(certificate, below)
        return _key(certificates[0])
    except InvalidSignature as error:
        raise Refused(f"{CHAIN} holds a certificate that the next one has not signed") from error
    except (*UNREADABLE, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise Refused(f"{CHAIN} cannot be read: {error}") from error


def check_es384(key: EllipticCurvePublicKey, signature: bytes, message: bytes) -> None:
    """Check an ECDSA signature with SHA-384 on P-384: r and s of 48 bytes each, big-endian (RFC 9053, section 2.1).

    Raises:
        Refused: it does not hold.
    """
    r, s = int.from_bytes(signature[:COORDINATE], "big"), int.from_bytes(signature[COORDINATE:], "big")
    try:
        key.verify(encode_dss_signature(r, s), message, ECDSA(SHA384()))
    except InvalidSignature as error:
        raise Refused("the signature of the Nitro document does not hold") from error


def _check_valid(certificate: x509.Certificate, at: int) -> None:
    begin, end = (int(time.timestamp()) for time in (certificate.not_valid_before_utc, certificate.not_valid_after_utc))
    valid = f"{CHAIN} holds a certificate valid from {shown(begin)} to {shown(end)}, not at {shown(at)}"
    require(begin <= at <= end, valid)


def _check_role(certificate: x509.Certificate, below: int) -> None:
    """The leaf signs documents and no certificates; whoever stands above it may have as many below as there are."""
    _key(certificate)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    if below == 0:
        require(
            not constraints.ca and usage.digital_signature, f"{CHAIN} begins with a key that is not to sign documents"
        )
        return
    require(constraints.ca and usage.key_cert_sign, f"{CHAIN} holds an issuer that is no authority")
    most = constraints.path_length
    require(most is None or most >= below - 1, f"{CHAIN} has {below - 1} authorities below one that allows {most}")


def _key(certificate: x509.Certificate) -> EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP384R1):
        raise Refused(f"{CHAIN} has a key that is not on P-384")
    return key
