"""Collateral as others spell it: the JSON that dcap-qvl writes, with chains in PEM and statements as texts.

The fields are those of `record.evidence.Collateral`; lists and signatures are in hexadecimal.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from attestrain.appraise.signatures import UNREADABLE
from attestrain.errors import FormatError
from attestrain.record.canonical import parse_any_form
from attestrain.record.evidence import MAX_CERTIFICATE, MAX_CHAIN, Collateral

MAX_COLLATERAL = 1 << 18
"""Largest file of collateral, in bytes: Intel's have 14 to 19 thousand."""
_TEXTS = ("tcb_info", "qe_identity")
_HEX = ("root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature")


def read_collateral(data: bytes) -> Collateral:
    """Read collateral that dcap-qvl or a tool like it wrote. Fields that are not ours, such as versions, are passed by.

    Raises:
        FormatError: malformed or out of bounds.
    """
    document = parse_any_form(data, max_bytes=MAX_COLLATERAL)
    if missing := sorted(Collateral.__dataclass_fields__.keys() - document.keys()):
        raise FormatError(f"collateral lacks {', '.join(missing)}")
    value: dict[str, object] = {name: document[name] for name in _TEXTS}
    for name in _HEX:
        value[name] = str(document[name]).lower()
    for name in Collateral.__dataclass_fields__:
        if name.endswith("_chain"):
            value[name] = [item.hex() for item in _read_pem(document[name], name)]
    return Collateral.from_json(value)


def _read_pem(text: object, where: str) -> list[bytes]:
    if not isinstance(text, str) or len(text) > 2 * MAX_CHAIN * MAX_CERTIFICATE:
        raise FormatError(f"collateral.{where} is not a short text")
    try:
        return [item.public_bytes(Encoding.DER) for item in x509.load_pem_x509_certificates(text.encode())]
    except (*UNREADABLE, UnicodeEncodeError) as error:
        raise FormatError(f"collateral.{where} is not PEM: {error}") from error
