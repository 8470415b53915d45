"""Attacks on `evidence verify`: other evidence than the policy is about, and files that say more than was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from attestrain.appraise.formats import appraise_any
from attestrain.appraise.intel.policy import IntelPolicy
from attestrain.appraise.policy import FORMAT, EvidencePolicy
from attestrain.appraise.refused import Refused
from attestrain.appraise.signatures import read_chain
from attestrain.attester.simulator import SimulatedMachine
from attestrain.errors import FormatError, PolicyNotMet, Undecided, UsageError
from attestrain.record.evidence import Event
from tests.unit.evidence_world import (
    NOW,
    TEE,
    events_of,
    honest_binding,
    honest_measured,
    honest_world,
    pki,
    platform,
    quoted,
)

EARLY, LATE = 1752919234, 1774003274
COLLATERAL = (TEE / "dcap-qvl/tdx_quote_outdated_collateral.json").read_bytes()
DEVELOPMENT = EvidencePolicy(assurance="simulated", intel=IntelPolicy(roots=(pki().root_digest,)))


def no_file(name: str) -> bytes:
    raise UsageError(f"no file {name}")


def dstack(**changes: object) -> bytes:
    return json.dumps(json.loads((TEE / "dstack/quote-report.json").read_text()) | changes).encode()


def test_a_strangers_chip_does_not_answer_for_a_guest_whose_registers_are_pinned() -> None:
    policy = EvidencePolicy.from_toml(f'format = "{FORMAT}"\n[intel.registers]\nmrtd = ["{"00" * 48}"]\n', no_file)
    beside = (TEE / "trustee/test-vcek.der").read_bytes() + (TEE / "go-sev-guest/ask_ark_milan.pem").read_bytes()
    amd = EvidencePolicy.from_toml(f'format = "{FORMAT}"\n[amd]\nproducts = ["Milan"]\nplatform = []\n', no_file)
    report = (TEE / "trustee/test-report.bin").read_bytes()
    assert appraise_any(report, beside, amd, EARLY).format == "snp-report-v2"
    with pytest.raises(PolicyNotMet, match="of amd's hardware, and the policy has sections for intel"):
        appraise_any(report, beside, replace(policy, amd=amd.amd), EARLY)


def test_an_enclave_does_not_answer_for_a_guest_whose_registers_are_pinned() -> None:
    beside = (TEE / "dcap-qvl/sgx_quote_collateral.json").read_bytes()
    state = ("ConfigurationAndSWHardeningNeeded",)
    policy = EvidencePolicy(intel=IntelPolicy(statuses=state, registers={"mrtd": (bytes(48),)}))
    with pytest.raises(Refused, match="sgx-quote-v3 has none of the registers that the policy names: mrtd"):
        appraise_any((TEE / "dcap-qvl/sgx_quote").read_bytes(), beside, policy, EARLY)


@pytest.mark.parametrize("name", ["mrenclave", "package"])
def test_a_document_with_an_event_of_its_own_shows_no_measurement_by_that_name(name: str) -> None:
    events = (*events_of(honest_measured()), Event(name, "bb" * 32))
    evidence = quoted(SimulatedMachine(platform()), honest_binding(), events)
    with pytest.raises(Refused, match=f"measured were .*, {name}, not"):
        appraise_any(evidence.to_bytes(), None, DEVELOPMENT, NOW)


def test_a_document_is_judged_with_its_own_collateral_whatever_lies_beside_it() -> None:
    document = honest_world().evidence.to_bytes()
    assert appraise_any(document, b"not collateral at all", DEVELOPMENT, NOW).assurance == "simulated"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"event_log": "\ud800"}, "event log cannot be read"),
        ({"report_data": "12" * 64}, "in the report, but"),
        ({"event_log": "[]"}, "RTMR0 is"),
    ],
)
@pytest.mark.parametrize("beside", [None, COLLATERAL])
def test_a_report_that_contradicts_its_quote_is_refused_with_or_without_collateral(
    changes: dict[str, object], reason: str, beside: bytes | None
) -> None:
    with pytest.raises(Refused, match=reason):
        appraise_any(dstack(**changes), beside, EvidencePolicy(), LATE)


def test_a_quote_whose_signature_fails_is_refused_even_if_nobody_vouches_for_it() -> None:
    quote = bytearray((TEE / "dcap-qvl/tdx_quote").read_bytes())
    with pytest.raises(Undecided):
        appraise_any(bytes(quote), None, EvidencePolicy(), EARLY)
    quote[200] ^= 1
    with pytest.raises(Refused, match="the quote"):
        appraise_any(bytes(quote), None, EvidencePolicy(), EARLY)


def test_hexadecimal_of_odd_length_is_no_evidence() -> None:
    with pytest.raises(FormatError, match="no format known"):
        appraise_any(b"abc", None, EvidencePolicy(), NOW)


@pytest.mark.parametrize("authority", [True, False])
def test_only_an_authority_issues_certificates(authority: bool) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "DEVELOPMENT ONLY")])
    begin = datetime.fromtimestamp(NOW, UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, begin, begin + timedelta(days=2))
    usage = x509.KeyUsage(True, False, False, False, False, authority, authority, False, False)
    builder = builder.add_extension(x509.BasicConstraints(authority, None), True).add_extension(usage, True)
    chain = [builder.sign(key, SHA256()).public_bytes(Encoding.DER)]
    if authority:
        assert len(read_chain(chain, NOW + 1, "the chain")) == 1
    else:
        with pytest.raises(Refused, match="may not issue certificates"):
            read_chain(chain, NOW + 1, "the chain")


def test_an_issuer_with_one_extension_twice_is_refused_and_no_bug() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "DEVELOPMENT ONLY")])
    begin = datetime.fromtimestamp(NOW, UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, begin, begin + timedelta(days=2))
    for last in (4, 5):
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.{last}"), b"\5\0")
        builder = builder.add_extension(extension, critical=False)
    data = builder.sign(key, SHA256()).public_bytes(Encoding.DER)
    twice = data.replace(bytes.fromhex("06032a0305"), bytes.fromhex("06032a0304"))
    with pytest.raises(Refused, match="does not say it may issue"):
        read_chain([twice], NOW + 1, "the chain")
