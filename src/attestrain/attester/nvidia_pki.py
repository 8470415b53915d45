"""A development PKI for GPUs: what NVIDIA is to real devices, a network's own keys are to simulated ones.

Certificates and reference values have NVIDIA's formats, so that simulated evidence takes the same path through the same
checks. What keeps it from passing as real: every network makes its own root, no root counts unless a policy pins it,
and every certificate says what it is.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP384R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from attestrain.appraise.nvidia.device import FIRMWARE, PDI_SIZE
from attestrain.attester.certificates import ORGANISATION, Authority, key_usage
from attestrain.attester.der import firmware_extension
from attestrain.record.digest import Digest, sha256

NAME = "DEVELOPMENT ONLY"
"""Ends every certificate's common name."""
FOREVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""When certificates of devices end, as NVIDIA's do: never (RFC 5280, section 4.1.2.5)."""
COORDINATE = 48
"""Bytes of a number of P-384."""
SERIAL_PREFIX = b"\x41"
"""What stands before a device's PDI in its certificate's serial number: genuine GPUs have this byte."""


def sign_raw(key: EllipticCurvePrivateKey, message: bytes) -> bytes:
    """ECDSA with SHA-384 as r and s, 48 bytes each, big-endian."""
    r, s = decode_dss_signature(key.sign(message, ECDSA(SHA384())))
    return r.to_bytes(COORDINATE, "big") + s.to_bytes(COORDINATE, "big")


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """What signs a simulated device's reports.

    Attributes:
        key: the attestation key.
        chain: certificates (DER), that key's first, root last.
        pdi: the device's name in the fabric.
        firmware: SHA-384 of the firmware for which the key was made.
    """

    key: EllipticCurvePrivateKey
    chain: tuple[bytes, ...]
    pdi: bytes
    firmware: bytes


class NvidiaPki:
    """The authorities of a network's simulated GPUs, fresh keys from the operating system's randomness.

    Args:
        now: when certificates begin, in seconds since 1970.
    """

    def __init__(self, now: int) -> None:
        self._begin = datetime.fromtimestamp(now, UTC)
        self._root = self._issue(f"Device Identity CA {NAME}", None, depth=2)
        self._provisioner = self._issue(f"Provisioner {NAME}", self._root, depth=1)
        self._references = self._issue(f"Reference Values {NAME}", self._root)

    @property
    def root_digest(self) -> Digest:
        """SHA-256 of the root certificate: what policies pin."""
        return sha256(self._root.der)

    @property
    def references(self) -> tuple[EllipticCurvePrivateKey, tuple[bytes, ...]]:
        """Key and certificates (DER) that sign reference values."""
        return self._references.key, (self._references.der, self._root.der)

    def provision(self, chip: str, firmware: bytes) -> DeviceKey:
        """A new device, such as a ``GH100``, whose firmware has that digest."""
        pdi = secrets.token_bytes(PDI_SIZE)
        serial = int.from_bytes(SERIAL_PREFIX + pdi, "big")
        device = self._issue(f"{chip} {NAME}", self._provisioner, depth=0, serial=serial)
        leaf = self._issue(f"{chip} firmware {NAME}", device, firmware=firmware)
        return DeviceKey(
            leaf.key, tuple(item.der for item in (leaf, device, self._provisioner, self._root)), pdi, firmware
        )

    def _issue(
        self,
        name: str,
        issuer: Authority | None,
        *,
        depth: int | None = None,
        serial: int | None = None,
        firmware: bytes | None = None,
    ) -> Authority:
        """A certificate signed by ``issuer`` or, without one, by itself; of an authority if it has a ``depth``."""
        key = generate_private_key(SECP384R1())
        subject = _subject(name)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if issuer is None else issuer.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number() if serial is None else serial)
            .not_valid_before(self._begin)
            .not_valid_after(FOREVER)
            .add_extension(x509.BasicConstraints(depth is not None, depth), critical=True)
            .add_extension(key_usage(authority=depth is not None), critical=True)
        )
        if firmware is not None:
            device = (key if issuer is None else issuer.key).public_key()
            spki = device.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            content = firmware_extension(spki, firmware)
            builder = builder.add_extension(x509.UnrecognizedExtension(FIRMWARE, content), critical=False)
        signer = key if issuer is None else issuer.key
        return Authority(key, builder.sign(signer, SHA384()))


def _subject(name: str) -> x509.Name:
    parts = ((NameOID.COMMON_NAME, name), (NameOID.ORGANIZATION_NAME, ORGANISATION))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
