"""Attacks on SEV-SNP evidence: one change to an honest world of simulated chips, or to a genuine report."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from attestrain.appraise.amd.chain import check_chain
from attestrain.appraise.amd.policy import AmdPolicy
from attestrain.appraise.amd.product import MILAN, PRODUCTS, TURIN
from attestrain.appraise.amd.report import NUMBER_SIZE, SIGNED_SIZE, SIZE, SnpReport
from attestrain.appraise.amd.tcb import Tcb
from attestrain.appraise.attestation import SIMULATED
from attestrain.appraise.refused import Refused
from attestrain.attester.snp import TCB
from attestrain.attester.snp_pki import CHIP_PREFIX
from tests.unit.snp_world import NOW, OPEN, PROVIDER, REPORT_DATA, Snp, chip, genuine, honest, pki

DAY = 86_400
P384_ORDER = int("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16)
"""Number of points of the group (SP 800-186, section 3.2.1.4)."""


def refused(world: Snp, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        world.judge()


def test_an_honest_simulated_guest_is_taken_and_reads_simulated() -> None:
    found = honest().judge()
    assert (found.assurance, found.root, found.report_data) == (SIMULATED, pki().root_digest, REPORT_DATA)
    assert found.platform == chip().chip.hex()
    assert bytes.fromhex(found.platform).startswith(CHIP_PREFIX)
    assert any("nothing of it is hardware" in text for text in found.proven)


@pytest.mark.parametrize("name", ["genoa-azure", pytest.param("turin-containers", marks=pytest.mark.slow)])
def test_every_flipped_bit_of_what_the_chip_signed_is_refused(name: str) -> None:
    world = genuine(name)
    key = check_chain(world.chain, world.at).key
    SnpReport.from_bytes(world.report).check_signature(key)
    for bit in range(8 * SIGNED_SIZE):
        forged = bytearray(world.report)
        forged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Refused):
            SnpReport.from_bytes(bytes(forged)).check_signature(key)


def test_every_flipped_bit_behind_it_is_refused_too() -> None:
    world = genuine("genoa-azure")
    key = check_chain(world.chain, world.at).key
    for bit in range(8 * SIGNED_SIZE, 8 * SIZE):
        forged = bytearray(world.report)
        forged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Refused):
            SnpReport.from_bytes(bytes(forged)).check_signature(key)


def test_the_second_spelling_of_a_signature_changes_no_identity() -> None:
    world, middle = honest(), SIGNED_SIZE + NUMBER_SIZE
    s = P384_ORDER - int.from_bytes(world.report[middle : middle + NUMBER_SIZE], "little")
    other = world.report[:middle] + s.to_bytes(NUMBER_SIZE, "little") + world.report[middle + NUMBER_SIZE :]
    assert other != world.report
    assert world.but(report=other).judge().identity == world.judge().identity


@pytest.mark.parametrize("offset", range(0, 1_100, 37))
@pytest.mark.parametrize("part", ["leaf", "ask", "ark"])
def test_a_certificate_with_a_flipped_bit_is_refused(part: str, offset: int) -> None:
    world = genuine("genoa-azure")
    forged = bytearray(getattr(world.chain, part))
    forged[offset] ^= 1
    with pytest.raises(Refused):
        world.but(chain=replace(world.chain, **{part: bytes(forged)})).judge()


def test_a_report_under_another_chips_certificate_is_refused() -> None:
    refused(honest().but(chain=pki().provision(NOW).chain), "the chip's key has not signed the report")


def test_another_chips_name_in_a_report_is_refused() -> None:
    refused(honest(chip_id=bytes([1] * 64)), "the report is of chip 0101.*but the key of chip 4445")


def test_a_masked_chip_is_refused() -> None:
    refused(honest(chip_id=bytes(64)), "masks the chip's id")


def test_a_report_of_newer_firmware_than_the_key_is_refused() -> None:
    newer = replace(TCB, snp=27).to_bytes(chip().product)
    refused(honest(reported_tcb=newer), "of TCB .*SNP firmware 27.*but the key of TCB .*SNP firmware 23")


@pytest.mark.parametrize("which", ["reported", "committed", "current", "launch"])
def test_firmware_below_the_minimum_is_refused_wherever_it_shows(which: str) -> None:
    minimum = {"Genoa": TCB}
    assert "minimum" not in " ".join(honest().under(minimum=minimum).judge().unchecked)
    old = replace(TCB, microcode=83)
    machine = pki().provision(NOW, tcb=old) if which == "reported" else chip()
    values = {"current_tcb": TCB, "committed_tcb": TCB, "launch_tcb": TCB, f"{which}_tcb": old}
    fields = {name: tcb.to_bytes(machine.product) for name, tcb in values.items()}
    refused(honest(machine, **fields).under(minimum=minimum), f"the {which} TCB is .*microcode below the minimum")


def test_a_lent_key_where_a_chips_own_is_required_is_refused() -> None:
    world = honest(pki().provision(NOW, provider=PROVIDER))
    refused(world, f"a VLEK of {PROVIDER} signed the report, and the policy takes VLEKs of none")
    refused(world.under(providers=("CN=another",)), "takes VLEKs of CN=another")
    assert world.under(providers=(PROVIDER,)).judge().platform == ""


def test_a_lent_key_cannot_pass_as_a_listed_chip() -> None:
    world = honest(pki().provision(NOW, provider=PROVIDER), chip_id=chip().chip)
    refused(world.under(providers=(PROVIDER,), chips=(chip().chip,)), "a VLEK vouches for none")


def test_a_report_that_misnames_the_kind_of_its_key_is_refused() -> None:
    refused(honest(key_info=1 << 2), "says VLEK signed it, but the certificate is of a VCEK")
    refused(honest(key_info=7 << 2), "says key 7 signed it")
    refused(honest(key_info=1 << 1), "MASK_CHIP_KEY")


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (1 << 17 | 1 << 19, "can be debugged"),
        (1 << 17 | 1 << 18, "can be migrated"),
        (1 << 17 | 1 << 40, "bits that are not known"),
        (0, "lacks bit 17"),
    ],
)
def test_an_open_guest_is_refused(policy: int, reason: str) -> None:
    refused(honest(policy=policy), reason)


def test_a_guest_whose_memory_may_lie_on_other_devices_is_taken_and_said_to_be() -> None:
    assert any("CXL" in text for text in honest(policy=1 << 17 | 1 << 21).judge().unchecked)


def test_a_guest_with_a_migration_agent_is_refused() -> None:
    refused(honest(report_id_ma=bytes([7] * 32)), "has a migration agent")


def test_a_report_from_an_unprivileged_level_is_refused() -> None:
    refused(honest(vmpl=3), "VMPL 3, not at most 0")


def test_a_platform_that_has_not_looked_for_aliases_is_refused() -> None:
    refused(honest(platform_info=1 << 2), "lacks alias-check, bit 5")


def test_threads_on_one_core_are_refused_where_the_policy_says_so() -> None:
    world = honest(platform_info=1 | 1 << 5)
    assert any("SMT" in text for text in world.judge().unchecked)
    refused(world.under(smt=False), "SMT on, which must be off")


def test_a_processor_that_is_not_its_certificates_is_refused() -> None:
    refused(honest(cpuid_family=0x1A), "family 0x1a model 0x10, which is no Genoa")


@pytest.mark.parametrize(
    ("field", "attribute", "size"),
    [
        ("measurement", "measurements", 48),
        ("host_data", "host_data", 32),
        ("id_key_digest", "id_keys", 48),
        ("author_key_digest", "author_keys", 48),
    ],
)
def test_another_launch_than_the_policy_names_is_refused(field: str, attribute: str, size: int) -> None:
    good, bad = bytes([1]) * size, bytes([2]) * size
    values: dict[str, int | bytes] = {field: good}
    world = honest(**values)
    assert world.under(**{attribute: (good,)}).judge().measurements[field] == good
    refused(world.under(**{attribute: (bad,)}), f"the {field} is 0101")


def test_an_older_guest_than_required_is_refused() -> None:
    assert honest(guest_svn=3).under(guest_svn=3).judge()
    refused(honest(guest_svn=2).under(guest_svn=3), "security version is 2, not at least 3")


def test_a_chip_that_is_not_listed_is_refused() -> None:
    assert honest().under(chips=(chip().chip,)).judge()
    refused(honest().under(chips=(bytes(64),)), "is not one of the 1 that the policy takes")


def test_a_development_root_counts_only_where_it_is_pinned() -> None:
    refused(honest().under(roots=()), "neither AMD's nor a pinned development root")


def test_pinning_amds_roots_for_development_makes_nothing_simulated_of_them() -> None:
    roots = tuple(product.root for product in PRODUCTS.values())
    assert genuine("genoa-azure", replace(OPEN, roots=roots)).judge().assurance == "hardware"
    refused(honest().under(roots=roots), "neither AMD's nor a pinned development root")
    refused(genuine("genoa-azure").under(hardware=False, roots=roots), "takes development roots alone")


def test_a_milan_stays_refused_under_a_development_root() -> None:
    refused(honest(pki().provision(NOW, product=MILAN)), "the processor is a Milan")


def test_a_simulated_turin_has_its_own_layout() -> None:
    machine = pki().provision(NOW, product=TURIN, tcb=Tcb(fmc=1, bootloader=2, snp=3, microcode=80))
    found = honest(machine, version=5, current_mitigations=3).judge()
    assert (found.format, found.platform) == ("snp-report-v5", machine.chip.hex())
    assert found.tcb == "Turin: FMC 1, boot loader 2, TEE 0, SNP firmware 3, microcode 80"


@pytest.mark.parametrize("at", [NOW - DAY, NOW + 3_651 * DAY, 0, -(2**63), 2**64])
def test_a_chain_of_another_time_is_refused(at: int) -> None:
    refused(honest().but(at=at), "is valid from .* to .*, not at")


def test_an_expired_genuine_vlek_is_refused() -> None:
    refused(genuine("milan-vlek").but(at=1_770_000_000), "the chip's certificate is valid from 2024-12-10T22:14:21Z")


def test_borrowed_report_data_are_refused() -> None:
    mine, other = honest(), chip().report(bytes(64))
    spliced = other[:0x50] + mine.report[0x50:0x90] + other[0x90:]
    refused(mine.but(report=spliced), "has not signed the report")
    assert mine.but(report=other).judge().report_data != mine.judge().report_data


def test_a_strangers_key_signs_nothing() -> None:
    world = honest()
    numbers = decode_dss_signature(generate_private_key(SECP384R1()).sign(world.report[:SIGNED_SIZE], ECDSA(SHA384())))
    signature = b"".join(number.to_bytes(NUMBER_SIZE, "little") for number in numbers)
    refused(world.but(report=(world.report[:SIGNED_SIZE] + signature).ljust(SIZE, b"\0")), "has not signed the report")


@pytest.mark.parametrize("value", [0, P384_ORDER])
def test_signatures_out_of_range_are_refused(value: int) -> None:
    world = honest()
    signature = value.to_bytes(NUMBER_SIZE, "little") * 2
    refused(world.but(report=(world.report[:SIGNED_SIZE] + signature).ljust(SIZE, b"\0")), "has not signed the report")


def test_a_chips_own_certificate_cannot_certify_another() -> None:
    world = honest()
    chain = replace(world.chain, leaf=pki().provision(NOW).chain.leaf, ask=world.chain.leaf)
    refused(world.but(chain=chain), "names another issuer|is not an authority's certificate")


def test_authorities_of_two_products_do_not_mix() -> None:
    genoa, turin = genuine("genoa-azure"), genuine("turin-containers")
    refused(genoa.but(chain=replace(genoa.chain, ark=turin.chain.ark)), "AMD's authority names another issuer")
    refused(genoa.but(chain=replace(genoa.chain, ask=turin.chain.ask)), "AMD's authority names another issuer")


def test_a_revoked_authority_is_refused() -> None:
    world = honest()
    assert world.but(chain=replace(world.chain, crl=pki().revocations(NOW))).under(crl=True).judge()
    revoked = pki().revocations(NOW, [5, pki().authority_number])
    refused(world.but(chain=replace(world.chain, crl=revoked)), "AMD's authority is revoked")


def test_a_list_of_another_time_or_root_or_none_is_refused() -> None:
    world, listed = honest(), pki().revocations(NOW)
    stale = replace(world.chain, crl=pki().revocations(NOW - 60 * DAY))
    refused(world.but(chain=stale), "AMD's revocation list is of")
    refused(world.under(crl=True), "no revocation list is given")
    genoa = genuine("genoa-azure")
    refused(genoa.but(chain=replace(genoa.chain, crl=listed)), "revocation list is of another root")
    forged = listed[:-1] + bytes([listed[-1] ^ 1])
    refused(world.but(chain=replace(world.chain, crl=forged)), "the root has not signed")


def test_what_the_default_policy_leaves_open_is_said() -> None:
    said = " ".join(honest().judge().unchecked)
    for text in ("no minimum for Genoa", "names no chips", "measurement", "id_key_digest", "no revocation list"):
        assert text in said
    assert AmdPolicy().products == ("Genoa", "Turin")
