"""Who signed a report: an NVIDIA device, by its certificate chain.

A genuine chain has five certificates: the attestation key, made anew for each firmware; the device; the provisioner of
its kind of chip; the identity authority; the root. The device's serial number carries its PDI, the name by which GPUs
and NVSwitches of one machine know each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.x509.oid import ObjectIdentifier

from attestrain.appraise.nvidia.certificates import common_name, read_chain
from attestrain.appraise.nvidia.policy import NvidiaPolicy
from attestrain.appraise.nvidia.report import HASH_SIZE
from attestrain.appraise.refused import Refused, require
from attestrain.appraise.signatures import P384, UNREADABLE, public_key
from attestrain.record.digest import Digest

PDI_SIZE = 8
"""Bytes of a device's PDI, the last ones of its certificate's serial number."""
DEVICE_CHAIN = 3
"""Least certificates of a device's chain: attestation key, device, root."""
GPU, SWITCH = "GPU", "NVSwitch"
CHIPS = {"GH100": GPU, "LS_10": SWITCH}
"""What chips are, by the first word of the device certificate's common name: Hopper, and its NVSwitch."""
FIRMWARE = ObjectIdentifier("2.23.133.5.4.1")
"""The name of DICE's firmware claims. NVIDIA's are a version, the device's key, and last the firmware's digest."""
FIRMWARE_PREFIX = bytes.fromhex("303d06096086480165030402020430")
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
    require(
        len(chain) >= DEVICE_CHAIN,
        f"the device's certificate chain has {len(chain)} certificates, less than {DEVICE_CHAIN}",
    )
    leaf, device = certificates[:2]
    model = common_name(device)
    chip = model.partition(" ")[0]
    known = " or ".join(CHIPS)
    require(chip in CHIPS, f"the device is a {chip[:32]!r}, whose reports are not known: not {known}")
    number = device.serial_number
    serial = number.to_bytes((number.bit_length() + 7) // 8, "big").hex()
    require(len(serial) >= 2 * PDI_SIZE, f"the device's serial number {serial} has fewer than {PDI_SIZE} bytes")
    key = public_key(leaf, "the device's certificate chain", P384)
    return Device(CHIPS[chip], model, serial, assurance, root, key, _firmware(leaf))


def _firmware(leaf: x509.Certificate) -> bytes:
    """SHA-384 of the firmware that the attestation key's certificate names, empty if it names none in this form."""
    try:
        value = leaf.extensions.get_extension_for_oid(FIRMWARE).value
    except x509.ExtensionNotFound:
        return b""
    except (*UNREADABLE, x509.DuplicateExtension) as error:
        raise Refused(f"the attestation key's certificate cannot be read: {error}") from error
    content = value.value if isinstance(value, x509.UnrecognizedExtension) else b""
    head, digest = content[:-HASH_SIZE], content[-HASH_SIZE:]
    return digest if head.endswith(FIRMWARE_PREFIX) else b""
