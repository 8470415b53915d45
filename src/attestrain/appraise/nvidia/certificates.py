"""Who vouches for an NVIDIA device: its certificate chain, from the key that signs reports to the root.

A genuine chain has five certificates: the attestation key, made anew for each firmware; the device; the provisioner of
its kind of chip; the identity authority; the root. The device's serial number carries its PDI, the name by which GPUs
and NVSwitches of one machine know each other.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.x509.oid import NameOID, ObjectIdentifier

from attestrain.appraise.attestation import HARDWARE, SIMULATED
from attestrain.appraise.nvidia.policy import NvidiaPolicy
from attestrain.appraise.refused import Refused, require
from attestrain.appraise.signatures import UNREADABLE, shown
from attestrain.record.digest import Digest, sha256

MAX_CHAIN = 8
"""Most certificates of a chain: genuine ones have five, those of reference values four."""
MAX_CERTIFICATE = 4_096
"""Largest certificate: genuine ones have about 900 bytes."""
LATEST = 253_402_300_799
"""Last second of the year 9999, after which certificates know no dates (RFC 5280, section 4.1.2.5)."""
COORDINATE = 48
"""Bytes of a number of P-384."""
PDI_SIZE = 8
"""Bytes of a device's PDI, the last ones of its certificate's serial number."""
DEVICE_CHAIN = 3
"""Least certificates of a device's chain: attestation key, device, root."""
GPU, SWITCH = "GPU", "NVSwitch"
CHIPS = {"GH100": GPU, "LS_10": SWITCH}
"""What chips are, by the first word of the device certificate's common name: Hopper, and its NVSwitch."""
FIRMWARE = ObjectIdentifier("2.23.133.5.4.1")
"""TCG DICE Attestation Architecture 1.0, section 6.1.1, in the older form that ends in the firmware's digest."""
FIRMWARE_PREFIX = bytes.fromhex("303d0609608648016503040202" + "0430")
"""DER before that digest: a sequence of the name of SHA-384 and 48 bytes."""


@dataclass(frozen=True, slots=True)
class Device:
    """Who signed a report.

    Attributes:
        kind: `GPU` or `SWITCH`.
        model: common name of the device's certificate.
        serial: its serial number, hexadecimal.
        assurance: ``hardware`` under NVIDIA's root, ``simulated`` under a pinned development root.
        root: SHA-256 of the root certificate (DER).
        key: the attestation key.
        firmware: SHA-384 of the firmware for which that key was made; empty where the certificate does not say.
    """

    kind: str
    model: str
    serial: str
    assurance: str
    root: Digest
    key: EllipticCurvePublicKey
    firmware: bytes

    @property
    def pdi(self) -> bytes:
        """The device's name in the fabric."""
        return bytes.fromhex(self.serial)[-PDI_SIZE:]


def read_device(chain: Sequence[bytes], policy: NvidiaPolicy, trusted: Digest, at: int) -> Device:
    """Read who vouches for a device.

    Args:
        chain: certificates (DER), attestation key first, root last.
        policy: which roots count.
        trusted: SHA-256 of NVIDIA's root.
        at: when the evidence was given, in seconds since 1970.

    Raises:
        Refused: nobody known does, or not for a chip that this package knows.
    """
    certificates, assurance, root = read_chain(chain, policy, trusted, at, "the device's certificate chain")
    require(len(chain) >= DEVICE_CHAIN, f"the device's certificate chain has {len(chain)} certificates, not 5")
    leaf, device = certificates[:2]
    model = _name(device)
    chip = model.partition(" ")[0]
    known = " or ".join(CHIPS)
    require(chip in CHIPS, f"the device is a {chip[:32]!r}, whose reports are not known: not {known}")
    number = device.serial_number
    serial = number.to_bytes((number.bit_length() + 7) // 8, "big").hex()
    require(len(serial) >= 2 * PDI_SIZE, f"the device's serial number {serial} has fewer than {PDI_SIZE} bytes")
    key = public_key(leaf, "the device's certificate chain")
    return Device(CHIPS[chip], model, serial, assurance, root, key, _firmware(leaf))


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
            raise Refused(f"{what} holds a certificate that the next one has not signed: {_name(certificate)[:64]}")
    for certificate in certificates:
        _check_valid(certificate, at, what)
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

    The device's certificate, ``below`` 0, issues that of the attestation key.
    """
    public_key(issuer, what)
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except (*UNREADABLE, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise Refused(f"{what} holds an issuer that does not say that it is an authority: {error}") from error
    depth = constraints.path_length
    may = constraints.ca and usage.key_cert_sign and (depth is None or below <= depth)
    require(may, f"{what} holds an issuer that may not issue: {_name(issuer)[:64]}")


def _check_valid(certificate: x509.Certificate, at: int, what: str) -> None:
    try:
        begin = int(certificate.not_valid_before_utc.timestamp())
        end = int(certificate.not_valid_after_utc.timestamp())
    except UNREADABLE as error:
        raise Refused(f"{what} has dates that cannot be read: {error}") from error
    if not begin <= at <= end:
        raise Refused(f"{what} holds a certificate valid from {shown(begin)} to {shown(end)}, not at {shown(at)}")


def public_key(certificate: x509.Certificate, what: str) -> EllipticCurvePublicKey:
    """The certificate's key.

    Raises:
        Refused: it is not on P-384.
    """
    try:
        key = certificate.public_key()
    except UNREADABLE as error:
        raise Refused(f"a key of {what} cannot be read: {error}") from error
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP384R1):
        raise Refused(f"a key of {what} is not on P-384")
    return key


def check_signed(key: EllipticCurvePublicKey, signature: bytes, message: bytes, what: str) -> None:
    """Check an ECDSA signature with SHA-384, given as r and s of 48 bytes each, big-endian.

    Raises:
        Refused: it does not hold.
    """
    r, s = int.from_bytes(signature[:COORDINATE], "big"), int.from_bytes(signature[COORDINATE:], "big")
    try:
        key.verify(encode_dss_signature(r, s), message, ECDSA(SHA384()))
    except InvalidSignature as error:
        raise Refused(f"the signature of {what} does not hold") from error


def _name(certificate: x509.Certificate) -> str:
    """The one common name of a certificate's subject, empty where there is none."""
    try:
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except UNREADABLE as error:
        raise Refused(f"the name of a certificate cannot be read: {error}") from error
    return str(names[0].value) if len(names) == 1 else ""


def _firmware(leaf: x509.Certificate) -> bytes:
    try:
        value = leaf.extensions.get_extension_for_oid(FIRMWARE).value
    except x509.ExtensionNotFound:
        return b""
    except (*UNREADABLE, x509.DuplicateExtension) as error:
        raise Refused(f"the attestation key's certificate cannot be read: {error}") from error
    content = value.value if isinstance(value, x509.UnrecognizedExtension) else b""
    head, digest = content[:-48], content[-48:]
    require(head.endswith(FIRMWARE_PREFIX), "the attestation key's certificate names its firmware by no SHA-384 digest")
    return digest
