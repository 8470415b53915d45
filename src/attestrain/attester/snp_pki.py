"""A development PKI for SEV-SNP: what AMD is to real chips, a network's own keys are to simulated ones.

Certificates and revocation lists have AMD's profile, so that simulated reports take the same path through the same
checks as genuine ones. What keeps them from passing as real: every network makes its own root, no root counts unless a
policy pins it, every certificate says what it is, and ids of chips begin as no real one does.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier

from attestrain.appraise.amd.certificate import RSA_BITS, SALT_SIZE
from attestrain.appraise.amd.chain import AmdChain
from attestrain.appraise.amd.endorsement import AMD, VCEK, VLEK
from attestrain.appraise.amd.product import GENOA, Product
from attestrain.appraise.amd.tcb import Tcb
from attestrain.attester.certificates import ORGANISATION, VALID, key_usage
from attestrain.attester.der import ascii_text, integer
from attestrain.attester.snp import TCB, SimulatedChip
from attestrain.record.digest import Digest, sha256

DEVELOPMENT = "DEVELOPMENT ONLY"
"""What every common name ends with."""
CHIP_PREFIX = DEVELOPMENT.encode()
"""How ids of simulated chips begin, at most half of one. Real ones are random."""
EXPONENT = 65_537
BACKDATED = timedelta(hours=1)
"""How long before now things are issued, for chains whose clocks are behind."""
LIST_VALID = timedelta(days=30)
"""How long a revocation list counts."""
ARCS = {"bootloader": 1, "tee": 2, "snp": 3, "microcode": 8, "fmc": 9}
"""Where a chip's certificate gives the version of each component: KDS interface specification (57230)."""
PADDING = PSS(MGF1(SHA384()), SALT_SIZE)


@dataclass(frozen=True, slots=True)
class RsaAuthority:
    """A certificate and its key, of RSA with 4096 bits."""

    key: RSAPrivateKey = field(repr=False)
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        """The certificate's bytes."""
        return self.certificate.public_bytes(Encoding.DER)


class SnpPki:
    """The authorities of simulated chips.

    Args:
        root: what a policy pins (ARK).
        authority: what the root certified, and what signs chips' keys (ASK, and ASVK too).
    """

    def __init__(self, root: RsaAuthority, authority: RsaAuthority) -> None:
        self._root, self._authority = root, authority

    @classmethod
    def generate(cls, now: int) -> SnpPki:
        """Fresh authorities, valid for ten years from ``now``, in seconds since 1970. Takes seconds: two RSA keys."""
        root = _authority("ARK", None, _begin(now))
        return cls(root, _authority("ASK", root, _begin(now)))

    @property
    def root_digest(self) -> Digest:
        """SHA-256 of the root certificate."""
        return sha256(self._root.der)

    @property
    def authority_number(self) -> int:
        """Serial number of what signs chips' keys."""
        return self._authority.certificate.serial_number

    def provision(self, now: int, *, product: Product = GENOA, tcb: Tcb = TCB, provider: str = "") -> SimulatedChip:
        """A chip with a fresh key.

        Args:
            now: when its certificate begins to count, in seconds since 1970.
            product: what it pretends to be.
            tcb: firmware for which its key is.
            provider: cloud provider whose VLEK it signs with; empty for a VCEK of its own.
        """
        prefix = CHIP_PREFIX[: product.chip_id // 2]
        chip = prefix + secrets.token_bytes(product.chip_id - len(prefix))
        key = generate_private_key(SECP384R1())
        builder = _builder(VLEK if provider else VCEK, key.public_key(), _begin(now))
        builder = builder.issuer_name(self._authority.certificate.subject)
        for arc, value in _extensions(product, tcb, chip, provider).items():
            builder = builder.add_extension(x509.UnrecognizedExtension(ObjectIdentifier(arc), value), critical=False)
        leaf = builder.sign(self._authority.key, SHA384(), rsa_padding=PADDING)
        chain = AmdChain(leaf.public_bytes(Encoding.DER), self._authority.der, self._root.der)
        return SimulatedChip(key, chain, product, tcb, chip, lent=bool(provider))

    def revocations(self, now: int, revoked: Iterable[int] = ()) -> bytes:
        """The root's revocation list (DER) of ``now`` and a month, with numbers of authorities that count no more."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._root.certificate.subject)
        builder = builder.last_update(_begin(now)).next_update(_begin(now) + LIST_VALID)
        builder = builder.add_extension(x509.CRLNumber(1), critical=False)
        for number in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(_begin(now)).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self._root.key, SHA384(), rsa_padding=PADDING).public_bytes(Encoding.DER)


def _begin(now: int) -> datetime:
    return datetime.fromtimestamp(now, UTC) - BACKDATED


def _name(name: str) -> x509.Name:
    texts = ((NameOID.ORGANIZATION_NAME, ORGANISATION), (NameOID.COMMON_NAME, f"{name} {DEVELOPMENT}"))
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in texts])


def _builder(name: str, key: RSAPublicKey | EllipticCurvePublicKey, begin: datetime) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(_name(name)).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(begin).not_valid_after(begin + VALID)


def _authority(name: str, issuer: RsaAuthority | None, begin: datetime) -> RsaAuthority:
    """An authority that ``issuer`` certifies, or that certifies itself."""
    key = generate_rsa_key(EXPONENT, RSA_BITS)
    builder = _builder(name, key.public_key(), begin)
    builder = builder.issuer_name(issuer.certificate.subject if issuer else _name(name))
    builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    builder = builder.add_extension(key_usage(authority=True), critical=True)
    signer = issuer.key if issuer else key
    return RsaAuthority(key, builder.sign(signer, SHA384(), rsa_padding=PADDING))


def _extensions(product: Product, tcb: Tcb, chip: bytes, provider: str) -> dict[str, bytes]:
    """Extensions of a chip's certificate, by object identifier."""
    versions = {f"{AMD}.3.{ARCS[name]}": integer(getattr(tcb, name)) for name, _ in product.layout}
    owner = {f"{AMD}.5": ascii_text(provider)} if provider else {f"{AMD}.4": chip}
    return {f"{AMD}.1": integer(product.structure), f"{AMD}.2": ascii_text(product.name), **versions, **owner}
