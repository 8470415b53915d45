"""Reports of genuine processors, which others published with the certificates of their chips."""

from __future__ import annotations

import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from attestrain.appraise.amd.appraisal import appraise_snp
from attestrain.appraise.amd.certificate import Certificate
from attestrain.appraise.amd.chain import check_chain, read_pem
from attestrain.appraise.amd.hcl import HclEnvelope, appraise_hcl, is_hcl
from attestrain.appraise.amd.policy import AmdPolicy
from attestrain.appraise.amd.product import PRODUCTS
from attestrain.appraise.amd.report import is_snp
from attestrain.appraise.attestation import HARDWARE
from attestrain.appraise.refused import Refused
from attestrain.record.digest import sha256
from tests.unit.snp_world import DATA, EARLY, GENUINE, OPEN, PROVIDER, data, genuine

TCBS = {
    "milan": "Milan-B0: boot loader 3, TEE 0, SNP firmware 8, microcode 115",
    "milan-vlek": "Milan: boot loader 4, TEE 0, SNP firmware 24, microcode 217",
    "genoa-azure": "Genoa: boot loader 10, TEE 0, SNP firmware 23, microcode 84",
    "milan-containers": "Milan-B0: boot loader 4, TEE 0, SNP firmware 24, microcode 219",
    "genoa-containers": "Genoa: boot loader 10, TEE 0, SNP firmware 23, microcode 84",
    "turin-containers": "Turin: FMC 1, boot loader 1, TEE 1, SNP firmware 4, microcode 81",
}
"""What the genuine reports are of, as go-sev-guest and `openssl x509` show it too."""
LEAVES = [leaf for leaf, _, _ in GENUINE.values()]
ISSUERS = sorted(path.name for path in DATA.glob("ask_ark_*.pem"))


@pytest.mark.parametrize("name", TCBS)
def test_a_genuine_report_is_hardware_of_its_firmware(name: str) -> None:
    found = genuine(name).judge()
    assert (found.assurance, found.tcb) == (HARDWARE, TCBS[name])
    assert found.root in {product.root for product in PRODUCTS.values()}
    assert found.signed == sha256(genuine(name).report[:0x2A0])
    assert is_snp(genuine(name).report)


def test_the_genuine_guest_that_can_be_debugged_is_refused_for_that() -> None:
    with pytest.raises(Refused, match="can be debugged: its policy 0xb0000 has DEBUG"):
        genuine("milan-debug").judge()


@pytest.mark.parametrize("name", [name for name in GENUINE if name.startswith("milan")])
def test_milan_is_refused_by_default(name: str) -> None:
    with pytest.raises(Refused, match="the processor is a Milan, and the policy takes Genoa or Turin"):
        genuine(name, AmdPolicy()).judge()


def test_the_genuine_genoa_passes_the_default_policy() -> None:
    found = genuine("genoa-azure", AmdPolicy()).judge()
    assert found.platform.startswith("0506ffba875e939c")
    assert any("no minimum for Genoa" in text for text in found.unchecked)


@pytest.mark.parametrize("name", ["genoa-containers", "turin-containers"])
def test_what_the_host_chose_at_launch_is_refused_by_default_and_taken_when_named(name: str) -> None:
    world = genuine(name, AmdPolicy(platform=()))
    with pytest.raises(Refused, match=r"the host_data is [0-9a-f]+, not 0000"):
        world.judge()
    named = genuine(name).judge().measurements["host_data"]
    assert world.under(host_data=(named,)).judge().assurance == HARDWARE


def test_the_genuine_platform_without_an_alias_check_is_refused() -> None:
    with pytest.raises(Refused, match="info 0x1 lacks alias-check, bit 5"):
        genuine("milan").under(platform=("alias-check",)).judge()


def test_platform_bits_that_nobody_explains_are_named() -> None:
    assert any(
        "what bits 0x40 of the platform's info mean" in text for text in genuine("turin-containers").judge().unchecked
    )
    assert not any("what bits" in text for text in genuine("genoa-containers").judge().unchecked)


def test_a_vlek_names_its_provider_and_no_machine() -> None:
    found = genuine("milan-vlek").judge()
    assert found.platform == ""
    assert any(PROVIDER in text for text in found.proven)
    with pytest.raises(Refused, match="takes VLEKs of none"):
        genuine("milan-vlek").under(providers=()).judge()


def test_a_vlek_report_at_vmpl_1_needs_a_policy_that_takes_it() -> None:
    with pytest.raises(Refused, match="VMPL 1, not at most 0"):
        genuine("milan-vlek").under(vmpl=0).judge()


@pytest.mark.parametrize("name", GENUINE)
def test_genuine_certificates_count_within_their_time_alone(name: str) -> None:
    world = genuine(name)
    leaf = Certificate.from_der(world.chain.leaf, "leaf")
    for at in (leaf.begin, leaf.end):
        check_chain(world.chain, at)
    for at in (leaf.begin - 1, leaf.end + 1):
        with pytest.raises(Refused, match="the chip's certificate is valid from"):
            check_chain(world.chain, at)


@pytest.mark.parametrize("name", ISSUERS)
def test_pinned_roots_are_those_of_the_published_authorities(name: str) -> None:
    ask, ark = read_pem(data(name))
    root = Certificate.from_der(ark, "root")
    product = next(item for item in PRODUCTS.values() if item.name.lower() == name.split("_")[2].split(".")[0])
    assert sha256(ark) == product.root
    root.check_issued(root, "root", "root")
    Certificate.from_der(ask, "ask").check_issued(root, "ask", "root")
    assert f"ARK-{product.name}".encode() in root.subject


def certificates() -> list[bytes]:
    """All genuine certificates (DER)."""
    texts = [data(name) for name in (*LEAVES, *ISSUERS)]
    return [item for text in texts for item in ((text,) if text[:1] == b"\x30" else read_pem(text))]


@pytest.mark.parametrize("der", certificates(), ids=lambda der: sha256(der).hex()[:8])
def test_our_reader_finds_in_certificates_what_cryptography_does(der: bytes) -> None:
    ours = Certificate.from_der(der, "it")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = x509.load_der_x509_certificate(der)
        assert ours.serial == theirs.serial_number
        assert ours.signed == theirs.tbs_certificate_bytes
        assert ours.signature == theirs.signature
        assert (ours.issuer, ours.subject) == (theirs.issuer.public_bytes(), theirs.subject.public_bytes())
        assert ours.begin == theirs.not_valid_before_utc.timestamp()
        assert ours.end == theirs.not_valid_after_utc.timestamp()
        assert ours.key == theirs.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert len(ours.extensions) == len(theirs.extensions)
        assert len(ours.critical) == sum(item.critical for item in theirs.extensions)


def test_serial_number_0_is_read_without_a_warning_and_without_the_librarys_leave() -> None:
    leaf = genuine("milan").chain.leaf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Certificate.from_der(leaf, "leaf").serial == 0
        genuine("milan").judge()


def test_azures_envelope_binds_the_claims_and_names_what_a_virtual_tpm_has_to_show() -> None:
    world, envelope = genuine("genoa-azure", AmdPolicy()), data("genoa-azure.bin")
    assert is_hcl(envelope)
    assert not is_hcl(world.report)
    found = appraise_hcl(envelope, world.chain, world.policy, world.at)
    assert found.format == "azure-hcl-snp-report-v3"
    assert found.identity == world.judge().identity
    assert found.report_data == bytes(64)
    assert any("virtual TPM" in text and "PCRs" in text for text in found.unchecked)


def test_other_claims_in_azures_envelope_are_refused() -> None:
    world, envelope = genuine("genoa-azure"), data("genoa-azure.bin")
    other = envelope.replace(b'"secure-boot":true', b'"secure-boot":null')
    assert other != envelope
    with pytest.raises(Refused, match="not to the claims"):
        appraise_hcl(other, world.chain, OPEN, EARLY)


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (0, ord("X"), "begins with"),
        (4, 3, "envelope has version 3"),
        (32 + 1184, 0, "do not fit"),
        (32 + 1184 + 4, 2, "claims have version 2"),
        (32 + 1184 + 8, 4, r"type 4, not 2 \(SEV-SNP\)"),
        (32 + 1184 + 12, 2, "algorithm 2, not 1"),
        (32 + 1184 + 18, 1, "do not fit"),
        (2_599, 1, "behind the claims are not zero"),
    ],
)
def test_envelopes_of_another_shape_are_refused(offset: int, value: int, reason: str) -> None:
    envelope = bytearray(data("genoa-azure.bin"))
    envelope[offset] = value
    with pytest.raises(Refused, match=reason):
        HclEnvelope.from_bytes(bytes(envelope))


def test_envelopes_of_another_size_are_refused() -> None:
    for size in (0, 1_236, 16_385):
        with pytest.raises(Refused, match="the envelope has"):
            HclEnvelope.from_bytes(data("genoa-azure.bin")[:size].ljust(size, b"\0"))


def test_the_envelope_itself_is_no_report() -> None:
    world = genuine("genoa-azure")
    with pytest.raises(Refused, match="2600 bytes, not 1184"):
        appraise_snp(data("genoa-azure.bin"), world.chain, world.policy, world.at)
