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

from attestrain.appraise.intel.collateral import check_collateral
from attestrain.appraise.intel.enclave import check_enclave, check_evaluation, check_family
from attestrain.appraise.intel.policy import DAY, INTEL_ROOT, STATUSES, UP_TO_DATE, IntelPolicy
from attestrain.appraise.intel.quote import Quote, pem
from attestrain.appraise.refused import Refused, require
from attestrain.appraise.signatures import check_signed, point_key, public_key
from attestrain.record.digest import Digest
from attestrain.record.evidence import REPORT_DATA_SIZE, Collateral

SIMULATED, HARDWARE = "simulated", "hardware"
PPID_SIZE = 16
PLATFORM_BITS = {
    "dynamic_platform": ("dynamic_platform", "packages that can be added later"),
    "cached_keys": ("cached_keys", "root keys cached by Intel"),
    "smt": ("smt_enabled", "two threads a core"),
}
"""Bits of a platform's certificate: the policy's name, the library's, and what they mean."""
GRACE = 100 * 365 * DAY
"""Seconds since a TCB level was superseded that the library lets pass: the policy says whether OutOfDate is taken."""
MAX_ERROR = 300
"""Longest text of the library repeated in a reason."""
REPEATED_TDX = {
    "report_data": "report_data",
    "mr_td": "mrtd",
    "mr_config_id": "mrconfigid",
    "rt_mr0": "rtmr0",
    "rt_mr1": "rtmr1",
    "rt_mr2": "rtmr2",
    "rt_mr3": "rtmr3",
    "td_attributes": "tdattributes",
}
REPEATED_SGX = {
    "report_data": "report_data",
    "mr_enclave": "mrenclave",
    "mr_signer": "mrsigner",
    "attributes": "attributes",
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
        evaluation: number of the evaluation that the collateral comes from.
    """

    assurance: str
    root: Digest
    platform: str
    tcb_status: str
    advisories: tuple[str, ...]
    evaluation: int


def authenticate(quote: Quote, collateral: Collateral, policy: IntelPolicy, at: int) -> Origin:
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
    check_enclave(quote, collateral)
    evaluation = check_evaluation(collateral, policy.least_evaluation)
    claims = _claims(quote, collateral, policy, at)
    _check_agreement(quote, claims)
    pck = claims["platform"]["pck"]
    check_family(quote, collateral, bytes(pck["fmspc"]))
    _check_platform(pck, policy)
    _check_levels(claims, policy)
    status, advisories = _check_state(claims["tcb"], policy)
    return Origin(assurance, quote.root, bytes(pck["ppid"]).hex(), status, advisories, evaluation)


def _assurance(root: Digest, policy: IntelPolicy) -> str:
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
    bound, expected = quote.enclave_field("report_data"), hashlib.sha256(quote.key + quote.authentication).digest()
    same = bound == expected.ljust(REPORT_DATA_SIZE, b"\0")
    require(same, f"the quoting enclave vouches for attestation key {bound.hex()}, not {expected.hex()}")
    check_quote_signature(quote)


def check_quote_signature(quote: Quote) -> None:
    """The attestation key that the quote brings along signed header and body. Says nothing of whose key it is.

    Raises:
        Refused: it did not.
    """
    check_signed(point_key(quote.key, "the attestation key"), quote.signature, quote.signed, "the quote")


def _check_levels(claims: dict[str, Any], policy: IntelPolicy) -> None:
    """Each part of the platform is in a state that the policy takes, so that none hides behind another."""
    platform = claims["platform"]
    levels = {
        "the platform's TCB": platform["tcb_level"],
        "the TCB of the TDX module that runs now": platform["current_tcb_level"],
        "the quoting enclave's TCB": claims["qe"]["tcb_level"],
    }
    for what, level in levels.items():
        if level is not None:  # reports before TD 1.5 name one module, the one that started the guest
            status = level["tcbStatus"]
            require(status in (UP_TO_DATE, *policy.statuses), f"{what} is {status}, not {' or '.join(policy.statuses)}")


def _check_state(tcb: dict[str, Any], policy: IntelPolicy) -> tuple[str, tuple[str, ...]]:
    """State and advisories are among those that the policy takes."""
    status, advisories = str(tcb["status"]), tuple(map(str, tcb["advisory_ids"]))
    require(status in policy.statuses, f"the platform's TCB is {status}, not {' or '.join(policy.statuses)}")
    for name in advisories:
        require(
            name not in policy.denied_advisories, f"advisory {name} concerns the platform, and the policy denies it"
        )
        allowed = policy.advisories
        if allowed is not None:
            listed = " or ".join(allowed) or "no advisory"
            require(name in allowed, f"advisory {name} concerns the platform, and the policy takes {listed}")
    return status, advisories


def _check_platform(pck: dict[str, Any], policy: IntelPolicy) -> None:
    """The platform's certificate says who it is, and nothing of its configuration that the policy refuses."""
    size = len(pck["ppid"])
    require(size == PPID_SIZE, f"the platform's PPID has {size} bytes, not {PPID_SIZE}")
    for name, (claim, what) in PLATFORM_BITS.items():
        observed = str(pck[claim])
        allowed = getattr(policy, name) or observed == "False"
        require(allowed, f"the platform's certificate says {observed} to {what}, and the policy asks for False")


def _claims(quote: Quote, given: Collateral, policy: IntelPolicy, at: int) -> dict[str, Any]:
    """What dcap-qvl finds: it matches the platform with its TCB level, and refuses what is forged or revoked."""
    import dcap_qvl

    # Genuine servers are multi-package, cache keys and run two threads a core; strict() refuses all three. What the
    # policy says to that, to states, evaluation and advisories, is checked on the claims, with reasons of our own.
    rules = dcap_qvl.QuotePolicy.strict(at).allow_dynamic_platform(True).allow_cached_keys(True).allow_smt(True)
    rules = rules.platform_grace_period(GRACE).qe_grace_period(GRACE)
    for status in STATUSES:
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
    report = claims["report"]
    report = report.get("TD10") or report.get("TD15", {}).get("base") or report.get("SgxEnclave") or {}
    for theirs, ours in (REPEATED_TDX if quote.kind.is_tdx else REPEATED_SGX).items():
        require(report.get(theirs) == quote.field(ours).hex(), f"{ours} is {report.get(theirs)} to the library")


def _key_id(certificate: bytes) -> bytes:
    """SHA-384 of a certificate's uncompressed public point, as dcap-qvl names keys."""
    key = public_key(x509.load_der_x509_certificate(certificate), "the root")
    return hashlib.sha384(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)).digest()
