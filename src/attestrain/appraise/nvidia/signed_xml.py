"""The signature of a file of reference values: W3C "XML Signature Syntax and Processing 1.1", one form of it.

The root element is signed, whole but for the signature in it, with ECDSA on P-384 and SHA-384. The file cannot choose:
every algorithm it names must be the one below, so neither another element can be signed in place of the root (signature
wrapping) nor a weaker method be named. What is read afterwards is the very tree whose canonical form was hashed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from attestrain.appraise.nvidia.certificates import MAX_CERTIFICATE, MAX_CHAIN
from attestrain.appraise.nvidia.report import SIGNATURE_SIZE
from attestrain.appraise.nvidia.xml import Element, canonical, parse
from attestrain.appraise.refused import Refused, require

DSIG = "http://www.w3.org/2000/09/xmldsig#"
"""Namespace of signatures."""
C14N = "http://www.w3.org/2006/12/xml-c14n11"
"""Canonical XML 1.1, without comments."""
ECDSA_SHA384 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"
SHA384 = "http://www.w3.org/2001/04/xmldsig-more#sha384"
ENVELOPED = DSIG + "enveloped-signature"
"""Transform that leaves the signature itself out of what is signed."""
DIGEST_SIZE = 48


@dataclass(frozen=True, slots=True)
class Signed:
    """A document whose digest is the one that its signature names. Whether that signature holds is still open.

    Attributes:
        root: the signed element, the signature taken out.
        statement: canonical bytes of SignedInfo, which the signature is over.
        signature: r and s on P-384, 48 bytes each, big-endian.
        chain: certificates (DER) that the file brings along, the signer's first.
    """

    root: Element
    statement: bytes
    signature: bytes
    chain: tuple[bytes, ...]


def read_signed(data: bytes) -> Signed:
    """Read a signed document.

    Raises:
        Refused: malformed, signed in another way, or its digest is another.
    """
    root = parse(data)
    signature = _take_signature(root)
    info, value, key = _children(signature, "SignedInfo", "SignatureValue", "KeyInfo")
    stated = _read_statement(info)
    digest = hashlib.sha384(canonical(root, signature)).digest()
    require(digest == stated, f"the reference values have digest {digest.hex()}, not {stated.hex()} as signed")
    root.children = [child for child in root.children if child is not signature]
    signed = _decode(value, SIGNATURE_SIZE)
    require(len(signed) == SIGNATURE_SIZE, f"the reference values' signature has {len(signed)} bytes")
    return Signed(root, canonical(info), signed, _read_chain(key))


def _take_signature(root: Element) -> Element:
    found = [element for element in _all(root) if element.kind[0] == DSIG and element.kind[1] == "Signature"]
    require(len(found) == 1, f"the reference values hold {len(found)} signatures, not 1")
    require(any(child is found[0] for child in root.children), "the reference values' signature is not in their root")
    return found[0]


def _all(element: Element) -> list[Element]:
    return [element, *(below for child in element.elements for below in _all(child))]


def _read_statement(info: Element) -> bytes:
    """The digest that SignedInfo states, once all its methods are the only ones known."""
    method, signing, reference = _children(info, "CanonicalizationMethod", "SignatureMethod", "Reference")
    _check_method(method, C14N)
    _check_method(signing, ECDSA_SHA384)
    require(dict(reference.attributes) == {"URI": ""}, "the reference values' signature is not of the whole document")
    transforms, digesting, value = _children(reference, "Transforms", "DigestMethod", "DigestValue")
    removal, form = _children(transforms, "Transform", "Transform")
    _check_method(removal, ENVELOPED)
    _check_method(form, C14N)
    _check_method(digesting, SHA384)
    return _decode(value, DIGEST_SIZE)


def _check_method(element: Element, required: str) -> None:
    found = dict(element.attributes)
    same = found == {"Algorithm": required} and not element.children
    require(same, f"the reference values' signature uses {str(found)[:120]}, not {required}")


def _children(element: Element, *names: str) -> list[Element]:
    """Exactly these children, in this order, with nothing but white space between them."""
    found, required = [child.kind for child in element.elements], [(DSIG, name) for name in names]
    require(found == required, f"{element.name[:64]} of the reference values holds other elements than {names}")
    texts = "".join(child for child in element.children if isinstance(child, str))
    require(not texts.strip(), f"{element.name[:64]} of the reference values holds text")
    return element.elements


def _read_chain(key: Element) -> tuple[bytes, ...]:
    (data,) = _children(key, "X509Data")
    count = len(data.elements)
    require(count <= MAX_CHAIN, f"the reference values bring {count} certificates along, more than {MAX_CHAIN}")
    return tuple(_decode(item, MAX_CERTIFICATE) for item in _children(data, *["X509Certificate"] * count))


def _decode(element: Element, most: int) -> bytes:
    """Bytes from base64, between whose lines there may be white space."""
    try:
        data = base64.b64decode("".join(element.text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(f"{element.name[:64]} of the reference values is not base64: {error}") from error
    require(len(data) <= most, f"{element.name[:64]} of the reference values has {len(data)} bytes, more than {most}")
    return data
