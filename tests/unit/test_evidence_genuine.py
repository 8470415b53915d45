"""Quotes of genuine processors, which others published with their collateral."""

from __future__ import annotations

import functools
import json
from dataclasses import replace

import pytest

from attestrain.appraise.intel.authentic import HARDWARE, Origin, authenticate
from attestrain.appraise.intel.guest import check_guest
from attestrain.appraise.intel.policy import INTEL_ROOT, IntelPolicy
from attestrain.appraise.intel.quote import Quote
from attestrain.appraise.intel.spelled import read_collateral
from attestrain.appraise.refused import Refused
from attestrain.attester.pki import DevPki
from attestrain.attester.simulator import SimulatedMachine
from attestrain.record.evidence import Collateral, Evidence
from tests.unit.evidence_world import DAY, TEE, World, honest_binding, honest_measured, honest_world, pki, world_of

EARLY, LATE = 1_752_919_234, 1_774_003_274
"""Last seconds of the two collaterals."""


@functools.cache
def collateral(name: str) -> Collateral:
    """Collateral of the samples."""
    return read_collateral((TEE / "dcap-qvl" / name).read_bytes())


def sample(name: str) -> tuple[bytes, Collateral, int]:
    """A genuine quote, its collateral and a time at which both counted."""
    if name == "dcap-qvl":
        return (TEE / "dcap-qvl/tdx_quote").read_bytes(), collateral("tdx_quote_collateral.json"), EARLY
    text = json.loads((TEE / "dstack/quote-report.json").read_text())["quote"]
    return bytes.fromhex(text.removeprefix("0x")), collateral("tdx_quote_outdated_collateral.json"), LATE


GENUINE = ("dcap-qvl", "dstack")


def judge(name: str, policy: IntelPolicy | None = None, shift: int = 0) -> Origin:
    quote, given, at = sample(name)
    return authenticate(Quote.from_bytes(quote), given, policy or IntelPolicy(), at + shift)


def genuine_world(name: str) -> World:
    """A genuine quote presented as evidence of our session key."""
    quote, given, at = sample(name)
    evidence = Evidence(quote, given, (), honest_binding().block_number, honest_binding().block_hash)
    return World(evidence, honest_binding(), honest_measured(), IntelPolicy(), at)


@pytest.mark.parametrize("name", GENUINE)
def test_a_genuine_quote_is_hardware_at_its_time(name: str) -> None:
    origin = judge(name)
    assert (origin.assurance, origin.root, origin.tcb_status) == (HARDWARE, INTEL_ROOT, "UpToDate")
    check_guest(Quote.from_bytes(sample(name)[0]))


@pytest.mark.parametrize("name", GENUINE)
def test_pinning_intels_root_for_development_does_not_make_it_simulated(name: str) -> None:
    assert judge(name, IntelPolicy(roots=(INTEL_ROOT,))).assurance == HARDWARE


@pytest.mark.parametrize("name", GENUINE)
def test_somebody_elses_genuine_quote_is_refused_for_its_binding(name: str) -> None:
    with pytest.raises(Refused, match="not bound to session key"):
        genuine_world(name).judge()


@pytest.mark.parametrize("name", GENUINE)
def test_genuine_evidence_fits_its_limits(name: str) -> None:
    evidence = genuine_world(name).evidence
    assert Evidence.from_bytes(evidence.to_bytes()) == evidence


@pytest.mark.parametrize("name", GENUINE)
def test_a_genuine_quote_is_refused_out_of_its_time(name: str) -> None:
    with pytest.raises(Refused, match="expired at"):
        judge(name, shift=2)
    with pytest.raises(Refused, match=r"issued at|valid from"):
        judge(name, shift=-60 * DAY)


def test_a_policy_of_development_roots_alone_refuses_hardware() -> None:
    with pytest.raises(Refused, match="development roots alone"):
        judge("dcap-qvl", IntelPolicy(roots=(pki().root_digest,), hardware=False))


def test_collateral_of_another_family_of_processors_is_refused() -> None:
    quote, _, _ = sample("dcap-qvl")
    other = collateral("tdx_quote_outdated_collateral.json")
    with pytest.raises(Refused, match="do not hold"):
        authenticate(Quote.from_bytes(quote), other, IntelPolicy(), LATE)


def test_genuine_collateral_does_not_make_a_simulated_quote_hardware() -> None:
    _, given, at = sample("dcap-qvl")
    world = replace(honest_world().with_evidence(collateral=given), at=at)
    with pytest.raises(Refused, match="ends in root"):
        world.judge()


def test_a_genuine_root_behind_a_simulated_chain_is_refused() -> None:
    """The root of the chain is Intel's, and Intel's key did not sign what stands before it."""
    quote, given, at = sample("dcap-qvl")
    world = world_of(SimulatedMachine(DevPki.generate(at).provision(at)), INTEL_ROOT)
    chain = (*Quote.from_bytes(world.evidence.quote).chain[:-1], Quote.from_bytes(quote).chain[-1])
    mixed = replace(Quote.from_bytes(world.evidence.quote), chain=chain).to_bytes()
    with pytest.raises(
        Refused, match="the quote's certificate chain holds a certificate that the next one has not signed"
    ):
        replace(world.with_evidence(quote=mixed, collateral=given), at=at).judge()


@pytest.mark.parametrize("name", GENUINE)
def test_a_genuine_quote_reads_as_the_library_reads_it(name: str) -> None:
    import dcap_qvl

    data = sample(name)[0]
    ours, theirs = Quote.from_bytes(data), dcap_qvl.parse_quote(data).report
    for field, attribute in (("mrtd", "mr_td"), ("rtmr3", "rt_mr3"), ("report_data", "report_data")):
        assert ours.field(field) == bytes(getattr(theirs, attribute))


OTHERS = ("dcap-qvl/quote-from-tappd.hex", "dcap-qvl/tdx-quote.hex", "go-tdx-guest/tdx_prod_quote_SPR_E4.dat")


@pytest.mark.parametrize("name", OTHERS)
def test_genuine_quotes_without_collateral_can_be_read(name: str) -> None:
    data = (TEE / name).read_bytes()
    quote = Quote.from_bytes(bytes.fromhex(data.decode().strip().removeprefix("0x")) if name.endswith("hex") else data)
    assert quote.root == INTEL_ROOT
    assert Quote.from_bytes(quote.to_bytes()) == quote
