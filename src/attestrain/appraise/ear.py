"""Verdicts for the tools of others: an EAT Attestation Result (EAR) as a JSON web token.

draft-ietf-rats-ear gives the claims, draft-ietf-rats-ar4si the numbers of the trustworthiness vector, RFC 7519 the
token, RFC 8812 the signature (ES256K, secp256k1 with SHA-256). One submodule for each file, numbered in order.
"""

from __future__ import annotations

import base64
import hashlib
import json

from attestrain import __version__
from attestrain.appraise.attestation import HARDWARE
from attestrain.appraise.conclusion import Conclusion, Finding
from attestrain.appraise.platforms import vendor_of
from attestrain.appraise.policy import EvidencePolicy
from attestrain.errors import ExitCode
from attestrain.record.canonical import Json
from attestrain.record.keys import SigningKey

PROFILE = "tag:github.com,2023:veraison/ear"
"""The EAT profile that the draft fixes."""
EXTENSION = "https://attestrain.dev/ear/evidence"
"""Name of our own claim, collision-resistant as RFC 7519 section 4.2 asks: what `Finding.to_json` says."""

AFFIRMING, WARNING, CONTRAINDICATED, NONE = "affirming", "warning", "contraindicated", "none"
STATUS = {
    ExitCode.DONE: AFFIRMING,
    ExitCode.CONSISTENT: NONE,
    ExitCode.UNDECIDED: NONE,
    ExitCode.REFUTED: CONTRAINDICATED,
}
"""Tier by exit code. Where the policy asks for more, or something is missing, no claim is made."""

NO_CLAIM = 0
RECOGNISED, UNRECOGNISED = 2, 97
"""AR4SI values of ``instance-identity``."""
GENUINE, UNSAFE = 2, 32
"""AR4SI values of ``hardware``; the second is a warning, so that nothing simulated reads as genuine."""
APPROVED_BOOT = 3
"""AR4SI value of ``executables``: only approved ones were loaded during boot, by the policy's reference values."""
ENCRYPTED = 2
"""AR4SI value of ``runtime-opaque``: memory is encrypted inside a trusted execution environment."""


def attestation_result(conclusion: Conclusion, policy: EvidencePolicy, name: str, issued: int) -> Json:
    """The claims of the token.

    Args:
        conclusion: the verdict.
        policy: under which it was found.
        name: of that policy: the SHA-256 of its text, or that the defaults were taken.
        issued: when the token is made, in seconds since 1970. When the evidence was judged is a claim of our own.
    """
    submods = {}
    for number, finding in enumerate(conclusion.findings):
        submods[f"evidence-{number}"] = {
            "ear.status": _status(finding, conclusion),
            "ear.trustworthiness-vector": _vector(finding, policy),
            "ear.appraisal-policy-id": name,
            EXTENSION: {**finding.to_json(), "at": conclusion.at},
        }
    return {
        "eat_profile": PROFILE,
        "iat": issued,
        "ear.verifier-id": {"developer": "https://attestrain.dev", "build": f"attestrain {__version__}"},
        "submods": submods,
    }


def _status(finding: Finding, conclusion: Conclusion) -> str:
    """The tier: no better than the worst value of the vector, as the draft asks, nor than the whole verdict."""
    simulated = finding.shown is not None and finding.shown.assurance != HARDWARE
    if finding.code == ExitCode.DONE and (simulated or conclusion.unmet):
        return WARNING
    return STATUS[finding.code]


def _vector(finding: Finding, policy: EvidencePolicy) -> dict[str, int]:
    """What was found, category by category. A category that was not looked into is absent: no claim."""
    if finding.shown is None:
        return {"instance-identity": UNRECOGNISED if finding.code == ExitCode.REFUTED else NO_CLAIM}
    hardware = GENUINE if finding.shown.assurance == HARDWARE else UNSAFE
    vector = {"instance-identity": RECOGNISED, "hardware": hardware}
    if vendor_of(finding.shown) != "nvidia":  # a GPU's report says nothing of memory
        vector["runtime-opaque"] = ENCRYPTED
    # In Azure's envelope the measurement is of the host's paravisor, the same for every guest.
    if policy.references is not None and not finding.shown.format.startswith("azure"):
        vector["executables"] = APPROVED_BOOT
    return vector


def sign_token(claims: Json, key: SigningKey) -> str:
    """A JSON web token of ``claims`` (RFC 7515, compact serialisation)."""
    head = {"alg": "ES256K", "typ": "JWT", "kid": key.address}
    signed = ".".join(_encoded(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
    signature = key.sign(hashlib.sha256(signed.encode()).digest())
    return f"{signed}.{_encoded(signature[:64])}"


def _encoded(data: bytes) -> str:
    """Base64url without padding (RFC 7515, appendix C)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
