"""Certificate chains on P-384 and signatures under them: of devices, and of reference values.

A chain ends in a known root, which is known by its digest alone. Nothing is taken from the machine's own trust store.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtensionOID, NameOID

from attestrain.appraise.attestation import HARDWARE, SIMULATED
from attestrain.appraise.nvidia.policy import NvidiaPolicy
from attestrain.appraise.refused import Refused, require
from attestrain.appraise.signatures import P384, UNREADABLE, check_valid, public_key
from attestrain.record.digest import Digest, sha256

MAX_CHAIN = 8
"""Most certificates of a chain: genuine ones have five, those of reference values four."""
MAX_CERTIFICATE = 4_096
"""Largest certificate: genuine ones have about 900 bytes."""
LATEST = 253_402_300_799
"""Last second of the year 9999, after which certificates know no dates (RFC 5280, section 4.1.2.5)."""
UNDERSTOOD = {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE}
"""Extensions that may be critical: no genuine certificate has others (RFC 5280, section 4.2)."""
NO_AUTHORITY = x509.BasicConstraints(ca=False, path_length=None)
"""What holds for a certificate that does not say (RFC 5280, section 4.2.1.9)."""


def read_chain(
    chain: Sequence[bytes], policy: NvidiaPolicy, trusted: Digest, at: int, what: str
) -> tuple[list[x509.Certificate], str, Digest]:
    """Read a chain in which each certificate is issued by the next, all valid at ``at``, up to a known root.

    Returns:
        The certificates, ``hardware`` or ``simulated``, and SHA-256 of the root.

    Raises:
        Refused: it is no such chain.
    """
    require(0 <= at <= LATEST, f"the evidence's time {at} is not in 0..{LATEST}")
    require(2 <= len(chain) <= MAX_CHAIN, f"{what} has {len(chain)} certificates, not 2 to {MAX_CHAIN}")
    root = sha256(chain[-1])
    assurance = _assurance(root, policy, trusted, what)
    certificates = [_certificate(item, what) for item in chain]
    for below, (certificate, issuer) in enumerate(itertools.pairwise(certificates)):
        _check_authority(issuer, below, what)
        if not _issued(chain[below], chain[below + 1]):
            name = common_name(certificate)[:64]
            raise Refused(f"{what} holds a certificate that the next one has not signed: {name}")
    for certificate in certificates:
        check_valid(certificate, at, what)
    _check_signer(certificates[0], what)
    return certificates, assurance, root


def _assurance(root: Digest, policy: NvidiaPolicy, trusted: Digest, what: str) -> str:
    """What a root stands for. Nothing else decides it, so that simulated evidence cannot pass for another."""
    if root == trusted:
        require(policy.hardware, f"{what} ends in NVIDIA's root, and the policy takes development roots alone")
        return HARDWARE
    known = ", ".join(item.hex() for item in policy.roots) or "none"
    reason = f"{what} ends in root {root.hex()}, which is neither NVIDIA's ({trusted.hex()})"
    require(root in policy.roots, f"{reason} nor a pinned development root ({known})")
    return SIMULATED


def _certificate(data: bytes, what: str) -> x509.Certificate:
    require(len(data) <= MAX_CERTIFICATE, f"{what} holds {len(data)} bytes, more than {MAX_CERTIFICATE}")
    try:
        return x509.load_der_x509_certificate(data)
    except UNREADABLE as error:
        raise Refused(f"{what} cannot be read: {error}") from error


@functools.lru_cache(maxsize=256)
def _issued(certificate: bytes, issuer: bytes) -> bool:
    """Whether ``issuer`` signed ``certificate`` and is who that names.

    Remembered, because the devices of a machine share their authorities: dates and roots are checked each time.
    """
    below, above = (x509.load_der_x509_certificate(item) for item in (certificate, issuer))
    try:
        below.verify_directly_issued_by(above)
    except (*UNREADABLE, InvalidSignature):
        return False
    return below.issuer.public_bytes() == above.subject.public_bytes()


def _check_authority(issuer: x509.Certificate, below: int, what: str) -> None:
    """An issuer may issue, and as deep as it does: RFC 5280, section 6.1.4 (k) to (n).

    ``below`` counts the authorities between it and the first certificate.
    """
    public_key(issuer, what, P384)
    constraints, usage = _extensions(issuer, what)
    depth = constraints.path_length
    may = constraints.ca and usage.key_cert_sign and (depth is None or below <= depth)
    require(may, f"{what} holds an issuer that may not issue: {common_name(issuer)[:64]}")


def _check_signer(signer: x509.Certificate, what: str) -> None:
    """The first certificate's key may sign statements, and nothing else."""
    public_key(signer, what, P384)
    constraints, usage = _extensions(signer, what)
    may = usage.digital_signature and not constraints.ca
    require(may, f"{what} begins with a key that may not sign: {common_name(signer)[:64]}")


def _extensions(certificate: x509.Certificate, what: str) -> tuple[x509.BasicConstraints, x509.KeyUsage]:
    """What a certificate's key may be used for. Critical extensions besides these two are not understood here."""
    try:
        extensions = certificate.extensions
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        critical = {item.oid for item in extensions if item.critical}
        stated = (item.value for item in extensions if isinstance(item.value, x509.BasicConstraints))
        constraints = next(stated, NO_AUTHORITY)
    except (*UNREADABLE, x509.ExtensionNotFound) as error:
        raise Refused(f"{what} holds a certificate that does not say what its key is for: {error}") from error
    names = ", ".join(sorted(oid.dotted_string for oid in critical - UNDERSTOOD))
    require(not names, f"{what} holds a certificate with critical extensions that are not understood: {names}")
    return constraints, usage


def common_name(certificate: x509.Certificate) -> str:
    """The one common name of a certificate's subject, empty where there is none in printable ASCII: it enters messages.

    Raises:
        Refused: the subject cannot be read.
    """
    try:
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except UNREADABLE as error:
        raise Refused(f"the name of a certificate cannot be read: {error}") from error
    name = str(names[0].value) if len(names) == 1 else ""
    return name if name.isascii() and name.isprintable() else ""
