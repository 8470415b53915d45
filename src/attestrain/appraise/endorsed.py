"""Documents that somebody vouches for: reference values and platform lists, signed by accounts that a policy names.

A document is a canonical JSON object whose last word is the field `signature`: EIP-712 over ``Endorsement(string
format, bytes32 document)``, where ``document`` is the SHA-256 of the canonical object without that field.
"""

from __future__ import annotations

from collections.abc import Collection

from attestrain.appraise.refused import require
from attestrain.errors import FormatError
from attestrain.record.canonical import Json, canonical, parse
from attestrain.record.digest import sha256
from attestrain.record.eip712 import signing_digest
from attestrain.record.keys import SigningKey, parse_signature, recover
from attestrain.record.names import Address

MAX_ENDORSED = 1 << 20
"""Largest document, in bytes: a list of some thousand platforms fits."""
_MEMBERS = (("format", "string"), ("document", "bytes32"))


def endorse(document: Json, key: SigningKey) -> bytes:
    """``document`` signed: the bytes to hand out.

    Raises:
        FormatError: it has no canonical form.
    """
    return canonical({**document, "signature": "0x" + key.sign(_digest(document)).hex()})


def read_endorsed(data: bytes, format_: str, signers: Collection[Address]) -> tuple[Json, Address]:
    """Read a signed document. Returns it without the signature, and who signed.

    Args:
        data: the document.
        format_: which it must be.
        signers: accounts whose word counts.

    Raises:
        FormatError: malformed, too large or of another format.
        Refused: somebody else signed it.
    """
    document = parse(data, max_bytes=MAX_ENDORSED)
    if document.get("format") != format_:
        raise FormatError(f"document of format {str(document.get('format'))[:80]!r}, not {format_}")
    signature = parse_signature(document.pop("signature", None))
    signer = recover(_digest(document), signature)
    listed = " or ".join(signers) or "nobody"
    require(signer in signers, f"{format_} is signed by {signer}, and the policy listens to {listed}")
    return document, signer


def _digest(document: Json) -> bytes:
    values = {"format": document.get("format"), "document": bytes(sha256(canonical(document)))}
    return signing_digest("Endorsement", _MEMBERS, values)
