"""Files in which others keep NVIDIA's evidence: a JSON list of devices, as NVIDIA's collectors write it.

Nothing in such a file counts but reports and certificates; versions and nonces beside them are the sender's word.
"""

from __future__ import annotations

import base64
import binascii
import json

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from attestrain.appraise.nvidia.certificates import MAX_CERTIFICATE, MAX_CHAIN
from attestrain.appraise.nvidia.device import GPU, SWITCH
from attestrain.appraise.nvidia.fabric import DeviceEvidence
from attestrain.appraise.nvidia.report import MAX_REPORT
from attestrain.appraise.signatures import UNREADABLE
from attestrain.errors import FormatError
from attestrain.record.canonical import check_nesting

MAX_FILE = 1 << 20
"""Largest file: evidence of a machine's eight GPUs has 99,322 bytes."""
MAX_FILE_DEVICES = 64
"""Most devices of a file: a rack of them."""
MAX_PEM = 2 * MAX_CHAIN * MAX_CERTIFICATE
"""Largest chain in PEM, whose base64 takes a third more than the certificates."""
SWITCH_ARCH = "LS10"
"""What files call Hopper's NVSwitches; every other name is of GPUs."""


def read_devices(data: bytes) -> tuple[DeviceEvidence, ...]:
    """Read a file of evidence: a list of objects, or one, with ``evidence`` and ``certificate`` in base64.

    Raises:
        FormatError: too large, malformed, or the claims of another verifier, which nobody signed.
    """
    value = _parse(data)
    if isinstance(value, dict) and "claims" in value:
        raise FormatError("the file holds what another verifier claims of a GPU, not the GPU's evidence")
    items = value if isinstance(value, list) else [value]
    if not 0 < len(items) <= MAX_FILE_DEVICES:
        raise FormatError(f"the file holds evidence of {len(items)} devices, not 1 to {MAX_FILE_DEVICES}")
    return tuple(_device(item, f"device {at}") for at, item in enumerate(items))


def read_pem_chain(data: bytes) -> tuple[bytes, ...]:
    """Certificates (DER) of a chain in PEM, in its order.

    Raises:
        FormatError: too large, too many, or not PEM.
    """
    if len(data) > MAX_PEM:
        raise FormatError(f"the certificate chain has {len(data)} bytes, more than {MAX_PEM}")
    try:
        chain = x509.load_pem_x509_certificates(data)
    except UNREADABLE as error:
        raise FormatError(f"the certificate chain is not PEM: {error}") from error
    if len(chain) > MAX_CHAIN:
        raise FormatError(f"the certificate chain has {len(chain)} certificates, more than {MAX_CHAIN}")
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in chain)


def _parse(data: bytes) -> object:
    if len(data) > MAX_FILE:
        raise FormatError(f"the file of {len(data)} bytes is larger than {MAX_FILE}")
    check_nesting(data)
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the file is not JSON: {error}") from error


def _device(item: object, where: str) -> DeviceEvidence:
    if not isinstance(item, dict):
        raise FormatError(f"{where} is not an object")
    report = _base64(item, "evidence", MAX_REPORT, where)
    chain = read_pem_chain(_base64(item, "certificate", MAX_PEM, where))
    return DeviceEvidence(report, chain, SWITCH if item.get("arch") == SWITCH_ARCH else GPU)


def _base64(item: dict[str, object], key: str, most: int, where: str) -> bytes:
    text = item.get(key)
    if not isinstance(text, str) or len(text) > 2 * most:
        raise FormatError(f"{where} has no {key} in base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"{key} of {where} is not base64: {error}") from error
