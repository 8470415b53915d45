"""Whether a quote is genuine: signed by a quoting enclave that a known root vouches for, in a good enough state.

Matching platforms with TCB levels is dcap-qvl's work, which nothing else loads. Signatures, revocation and dates are
checked twice, first by ourselves, so that one mistake, there or here, lets nothing through.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from attestrain.appraise.collateral import check_collateral
from attestrain.appraise.policy import INTEL_ROOT, EvidencePolicy
from attestrain.appraise.quote import QE_REPORT_DATA, Quote, pem
from attestrain.appraise.refused import Refused, require
from attestrain.appraise.signatures import check_signed, point_key, public_key
from attestrain.record.digest import Digest
from attestrain.record.evidence import REPORT_DATA_SIZE, Collateral

SIMULATED, HARDWARE = "simulated", "hardware"
PPID_SIZE = 16
MAX_ERROR = 300
"""Longest text of the library repeated in a reason."""
REPEATED = {
    "report_data": "report_data",
    "mr_td": "mrtd",
    "mr_config_id": "mrconfigid",
    "rt_mr0": "rtmr0",
    "rt_mr1": "rtmr1",
    "rt_mr2": "rtmr2",
    "rt_mr3": "rtmr3",
    "td_attributes": "tdattributes",
}
"""Fields that the library read too, by its names: both readings must agree."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who vouches for a quote, and in which state its platform was.

    Attributes:
        assurance: ``hardware`` under Intel's root, ``simulated`` under a pinned development root.
        root: SHA-256 of that root certificate (DER).
        platform: the platform's PPID in hexadecimal.
        tcb_status: state of the trusted computing base, as Intel names it.
        advisories: security advisories that concern the platform.
    """

    assurance: str
    root: Digest
    platform: str
    tcb_status: str
    advisories: tuple[str, ...]


def authenticate(quote: Quote, collateral: Collateral, policy: EvidencePolicy, at: int) -> Origin:
    """Judge who vouches for ``quote``.

    Args:
        quote: the evidence's quote, as read.
        collateral: what judges it.
        policy: known development roots, acceptable states, ages.
        at: when the evidence was given, in seconds since 1970.

    Raises:
        Refused: nobody known does, or something is expired, revoked, forged or not good enough.
    """
    assurance = _assurance(quote.root, policy)
    leaf = check_collateral(quote, collateral, policy, at)
    _check_signatures(quote, leaf)
    claims = _claims(quote, collateral, policy, at)
    status, platform = claims["tcb"]["status"], bytes(claims["platform"]["pck"]["ppid"])
    require(status in policy.statuses, f"the platform's TCB is {status}, not {' or '.join(policy.statuses)}")
    require(len(platform) == PPID_SIZE, f"the platform's PPID has {len(platform)} bytes, not {PPID_SIZE}")
    _check_agreement(quote, claims)
    return Origin(assurance, quote.root, platform.hex(), status, tuple(claims["tcb"]["advisory_ids"]))


def _assurance(root: Digest, policy: EvidencePolicy) -> str:
    """What a root stands for. Nothing else decides it, so that a simulated quote cannot pass for another."""
    if root == INTEL_ROOT:
        require(policy.hardware, "the quote is under Intel's root, and the policy takes development roots alone")
        return HARDWARE
    known = ", ".join(item.hex() for item in policy.roots) or "none"
    require(root in policy.roots, f"root {root.hex()} is neither Intel's nor a pinned development root ({known})")
    return SIMULATED


def _check_signatures(quote: Quote, leaf: x509.Certificate) -> None:
    """The platform's key vouches for the quoting enclave's report, that for the attestation key, that for the quote."""
    check_signed(
        public_key(leaf, "the platform"), quote.enclave_signature, quote.enclave, "the quoting enclave's report"
    )
    bound, expected = quote.enclave[QE_REPORT_DATA:], hashlib.sha256(quote.key + quote.authentication).digest()
    same = bound == expected.ljust(REPORT_DATA_SIZE, b"\0")
    require(same, f"the quoting enclave vouches for attestation key {bound.hex()}, not {expected.hex()}")
    check_signed(point_key(quote.key, "the attestation key"), quote.signature, quote.signed, "the quote")


def _claims(quote: Quote, given: Collateral, policy: EvidencePolicy, at: int) -> dict[str, Any]:
    """What dcap-qvl finds. Its `verify` accepts platforms out of date, so the strict policy is laid down here."""
    import dcap_qvl

    # Genuine servers are multi-package, cache keys and run two threads a core; strict() refuses all three.
    rules = dcap_qvl.QuotePolicy.strict(at).allow_dynamic_platform(True).allow_cached_keys(True).allow_smt(True)
    for status in policy.statuses:
        rules = rules.allow_status(status)
    try:
        collateral = dcap_qvl.QuoteCollateralV3(**_spelled(given))
        verifier = dcap_qvl.QuoteVerifier(quote.chain[-1])
        found = verifier.verify_with_policy(quote.to_bytes(), collateral, at, rules)
    except ValueError as error:
        text = " ".join(str(error).split())[:MAX_ERROR]
        raise Refused(f"quote and collateral do not hold: {text}") from error
    claims: dict[str, Any] = json.loads(found.to_json())
    return claims


def _spelled(collateral: Collateral) -> dict[str, Any]:
    chains = {name: "".join(map(pem, chain)) for name, chain in collateral.chains.items()}
    return {name: getattr(collateral, name) for name in Collateral.__dataclass_fields__} | chains


def _check_agreement(quote: Quote, claims: dict[str, Any]) -> None:
    """Hold the library's reading against ours: the trust anchor, and the fields that decide."""
    anchor = bytes(claims["platform"]["root_key_id"])
    require(anchor == _key_id(quote.chain[-1]), f"the library trusted key {anchor.hex()}, which is not the root's")
    report = claims["report"].get("TD10", {})
    for theirs, ours in REPEATED.items():
        require(report.get(theirs) == quote.field(ours).hex(), f"{ours} is {report.get(theirs)} to the library")


def _key_id(certificate: bytes) -> bytes:
    """SHA-384 of a certificate's uncompressed public point, as dcap-qvl names keys."""
    key = public_key(x509.load_der_x509_certificate(certificate), "the root")
    return hashlib.sha384(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)).digest()
