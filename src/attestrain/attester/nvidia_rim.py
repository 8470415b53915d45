"""Development reference values: SWID tags signed as NVIDIA signs its own, under a development root."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from xml.sax.saxutils import quoteattr

from attestrain.appraise.nvidia.report import HASH_SIZE
from attestrain.appraise.nvidia.rim import HASH, SWID
from attestrain.appraise.nvidia.signed_xml import C14N, DSIG, ECDSA_SHA384, ENVELOPED, SHA384
from attestrain.appraise.nvidia.xml import canonical, parse
from attestrain.attester.nvidia import GPU_CHIP
from attestrain.attester.nvidia_pki import NvidiaPki, sign_raw


def sign_references(pki: NvidiaPki, version: str, values: Mapping[int, Iterable[bytes]]) -> bytes:
    """A file of reference values.

    Args:
        pki: who signs.
        version: of the driver or VBIOS that has these values.
        values: what each slot may hold, by slot from 1 on.
    """
    rows = "".join(_row(slot, list(allowed)) for slot, allowed in sorted(values.items()))
    body = f'<Meta colloquialVersion={quoteattr(version)} product="{GPU_CHIP}"/><Payload>{rows}</Payload>'
    return sign_document(pki, f'<SoftwareIdentity xmlns="{SWID}" xmlns:h="{HASH}">{body}', "</SoftwareIdentity>")


def sign_document(pki: NvidiaPki, head: str, tail: str) -> bytes:
    """The document ``head + tail`` with a signature of it between the two."""
    key, chain = pki.references
    digest = hashlib.sha384(canonical(parse((head + tail).encode()))).digest()
    certificates = "".join(f"<ds:X509Certificate>{_text(item)}</ds:X509Certificate>" for item in chain)
    info = f"<ds:SignedInfo>{_methods(digest)}</ds:SignedInfo>"
    start, end = f'<ds:Signature xmlns:ds="{DSIG}">', "</ds:Signature>"
    # The statement is signed with the namespaces around it, so it is read where it will stand.
    placed = parse(f"{head}{start}{info}{end}{tail}".encode()).elements[-1].elements[0]
    value = f"<ds:SignatureValue>{_text(sign_raw(key, canonical(placed)))}</ds:SignatureValue>"
    keys = f"<ds:KeyInfo><ds:X509Data>{certificates}</ds:X509Data></ds:KeyInfo>"
    return f"{head}{start}{info}{value}{keys}{end}{tail}".encode()


def _methods(digest: bytes) -> str:
    transforms = f'<ds:Transform Algorithm="{ENVELOPED}"/><ds:Transform Algorithm="{C14N}"/>'
    hashing = f'<ds:DigestMethod Algorithm="{SHA384}"/><ds:DigestValue>{_text(digest)}</ds:DigestValue>'
    return (
        f'<ds:CanonicalizationMethod Algorithm="{C14N}"/><ds:SignatureMethod Algorithm="{ECDSA_SHA384}"/>'
        f'<ds:Reference URI=""><ds:Transforms>{transforms}</ds:Transforms>{hashing}</ds:Reference>'
    )


def _row(slot: int, allowed: list[bytes]) -> str:
    hashes = " ".join(f'h:Hash{number}="{value.hex()}"' for number, value in enumerate(allowed))
    head = f'type="Measurement" index="{slot - 1}" active="True" alternatives="{len(allowed)}"'
    return f'<Resource {head} {hashes} size="{HASH_SIZE}"/>'


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
