"""Certificates and revocation lists of a development PKI, in the profile of Intel's.

Intel, "SGX PCK Certificate and Certificate Revocation List Profile Specification"; RFC 5280.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier

from attestrain.attester.der import SGX

ORGANISATION = "DEVELOPMENT ONLY - NOT A TEE"
VALID = timedelta(days=3650)
"""How long certificates are valid."""
REVOCATION_URL = "https://revocations.invalid/root.crl"
"""Certificates must name a distribution point; this one cannot exist (RFC 6761)."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate and its key."""

    key: EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        """The certificate's bytes."""
        return self.certificate.public_bytes(Encoding.DER)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a certificate is for.

    Attributes:
        name: its common name.
        depth: certificates of authorities that may follow, None for whoever is none.
        extension: content of the SGX extension.
    """

    name: str
    depth: int | None = None
    extension: bytes | None = None


def issue(kind: Kind, key: EllipticCurvePrivateKey, issuer: Authority | None, begin: datetime) -> x509.Certificate:
    """A certificate for ``key``, signed by ``issuer`` or, without one, by itself."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, kind.name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
        ]
    )
    signer = key if issuer is None else issuer.key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + VALID)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(_distribution(), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(key_usage(authority=kind.depth is not None), critical=True)
        .add_extension(x509.BasicConstraints(kind.depth is not None, kind.depth), critical=True)
    )
    if kind.extension is not None:
        sgx = x509.UnrecognizedExtension(ObjectIdentifier(SGX), kind.extension)
        builder = builder.add_extension(sgx, critical=False)
    return builder.sign(signer, SHA256())


def _distribution() -> x509.CRLDistributionPoints:
    place = x509.UniformResourceIdentifier(REVOCATION_URL)
    return x509.CRLDistributionPoints([x509.DistributionPoint([place], None, None, None)])


def key_usage(*, authority: bool) -> x509.KeyUsage:
    """What a development key is for: certificates and lists, or statements."""
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def revocations(issuer: Authority, begin: datetime, end: datetime, revoked: Iterable[int] = ()) -> bytes:
    """The list (DER) of certificates that ``issuer`` takes back, by serial number."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(begin)
        .next_update(end)
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(begin).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(issuer.key, SHA256()).public_bytes(Encoding.DER)
