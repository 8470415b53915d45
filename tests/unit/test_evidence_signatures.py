"""Certificates that an authority itself made badly: whoever owns a root can sign anything."""

from __future__ import annotations

import warnings

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, derive_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from attestrain.appraise.refused import Refused
from attestrain.appraise.signatures import check_signed, point_key, read_chain
from attestrain.attester.p256 import ORDER, sign_raw
from attestrain.record.canonical import parse
from tests.unit.evidence_world import NOW, pki, platform

SERIAL = 15
"""Where a certificate's serial number begins: three lengths, a version and a tag before it."""


def authority(name: str) -> EllipticCurvePrivateKey:
    """The secret of one of the PKI's authorities."""
    return derive_private_key(int(parse(pki().to_bytes())[name]["key"], 16), SECP256R1())


def with_serial(certificate: bytes, first: int, issuer: EllipticCurvePrivateKey) -> bytes:
    """A certificate whose serial number begins with another byte, signed anew."""
    end = 8 + int.from_bytes(certificate[6:8], "big")
    signed = bytearray(certificate[4:end])
    signed[SERIAL - 4] = first
    algorithm = certificate[end : end + 2 + certificate[end + 1]]
    signature = b"\0" + issuer.sign(bytes(signed), ECDSA(SHA256()))
    body = bytes(signed) + algorithm + b"\x03" + bytes([len(signature)]) + signature
    return b"\x30\x82" + len(body).to_bytes(2, "big") + body


def test_a_certificate_signed_anew_is_taken() -> None:
    leaf, *issuers = platform().chain
    again = with_serial(leaf, leaf[SERIAL], authority("platforms"))
    assert len(read_chain((again, *issuers), NOW, "the chain")) == 3


@pytest.mark.parametrize("strict", [True, False])
def test_a_negative_serial_number_is_refused_and_nothing_worse(strict: bool) -> None:
    leaf, *issuers = platform().chain
    forged = with_serial(leaf, 0x80 | leaf[SERIAL], authority("platforms"))
    with warnings.catch_warnings():
        warnings.simplefilter("error" if strict else "ignore")
        with pytest.raises(Refused, match="serial number"):
            read_chain((forged, *issuers), NOW, "the chain")


@pytest.mark.parametrize("point", [bytes(64), b"\xff" * 64, b"\1" * 64, bytes(63)])
def test_points_off_the_curve_are_no_keys(point: bytes) -> None:
    with pytest.raises(Refused, match="not on P-256"):
        point_key(point, "the key")


@pytest.mark.parametrize("r", [0, ORDER, 2**256 - 1])
def test_signatures_out_of_range_are_refused(r: int) -> None:
    key = authority("root")
    good = sign_raw(key, b"text")
    check_signed(key.public_key(), good, b"text", "the text")
    for forged in (r.to_bytes(32, "big") + good[32:], good[:32] + r.to_bytes(32, "big")):
        with pytest.raises(Refused, match="the signature of the text does not hold"):
            check_signed(key.public_key(), forged, b"text", "the text")
