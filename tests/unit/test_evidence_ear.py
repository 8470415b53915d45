"""Verdicts as EAR tokens, read back by a reader of its own."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256K1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from attestrain.appraise.conclusion import Finding, conclude
from attestrain.appraise.ear import EXTENSION, attestation_result, sign_token
from attestrain.appraise.formats import appraise_any
from attestrain.appraise.intel.policy import IntelPolicy
from attestrain.appraise.policy import EvidencePolicy
from attestrain.appraise.refused import Refused
from attestrain.errors import AttestrainError, PolicyNotMet, Undecided
from attestrain.record.keys import SigningKey
from tests.unit.evidence_world import NOW, honest_world, pki

KEY = SigningKey(bytes([7]) * 32)
POLICY = EvidencePolicy(assurance="simulated", intel=IntelPolicy(roots=(pki().root_digest,)))


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def claims(*findings: Finding, policy: EvidencePolicy = POLICY) -> dict[str, Any]:
    return attestation_result(conclude(findings, policy, NOW), policy, "test", NOW + 5)


def taken() -> Finding:
    return Finding("file", appraise_any(honest_world().evidence.to_bytes(), None, POLICY, NOW))


def submodule(*findings: Finding, policy: EvidencePolicy = POLICY) -> dict[str, Any]:
    found: dict[str, Any] = claims(*findings, policy=policy)["submods"]["evidence-0"]
    return found


def test_simulated_evidence_never_reads_affirming() -> None:
    found = submodule(taken())
    assert found["ear.status"] == "warning"
    assert found["ear.trustworthiness-vector"] == {"instance-identity": 2, "hardware": 32, "runtime-opaque": 2}
    assert found[EXTENSION]["assurance"] == "simulated"
    assert found[EXTENSION]["at"] == NOW


@pytest.mark.parametrize(
    ("error", "status", "identity"),
    [
        (Refused("forged"), "contraindicated", 97),
        (Undecided("no collateral"), "none", 0),
        (PolicyNotMet("another image"), "none", 0),
    ],
)
def test_evidence_that_is_not_taken_affirms_nothing(error: AttestrainError, status: str, identity: int) -> None:
    found = submodule(Finding("file", error=error))
    assert (found["ear.status"], found["ear.trustworthiness-vector"]) == (status, {"instance-identity": identity})
    assert found[EXTENSION]["reason"] == str(error)


def test_the_claims_that_the_draft_makes_mandatory_are_there() -> None:
    result = claims(taken(), taken())
    assert result["eat_profile"] == "tag:github.com,2023:veraison/ear"
    assert result["iat"] == NOW + 5
    assert set(result["ear.verifier-id"]) == {"build", "developer"}
    assert list(result["submods"]) == ["evidence-0", "evidence-1"]


def test_an_independent_library_finds_the_signature_good() -> None:
    head, body, signature = sign_token(claims(taken()), KEY).split(".")
    assert json.loads(decoded(head)) == {"alg": "ES256K", "typ": "JWT", "kid": KEY.address}
    assert json.loads(decoded(body)) == claims(taken())
    raw = decoded(signature)
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    public = derive_private_key(int.from_bytes(KEY.to_bytes(), "big"), SECP256K1()).public_key()
    public.verify(encode_dss_signature(r, s), f"{head}.{body}".encode(), ECDSA(SHA256()))
