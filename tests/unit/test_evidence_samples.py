"""Every genuine Intel quote that others published: its verdict, offline, at a time when its collateral counted."""

from __future__ import annotations

import base64
import functools
import json
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest

from attestrain.appraise.attestation import Attestation
from attestrain.appraise.intel.appraise import appraise_intel
from attestrain.appraise.intel.authentic import check_quote_signature
from attestrain.appraise.intel.bodies import DICE_SIZE
from attestrain.appraise.intel.guest import check_guest
from attestrain.appraise.intel.policy import INTEL_ROOT, IntelPolicy
from attestrain.appraise.intel.quote import Quote
from attestrain.appraise.intel.spelled import read_collateral
from attestrain.appraise.intel.wrapped import is_quote
from attestrain.appraise.refused import Refused
from attestrain.record.evidence import Collateral
from tests.unit.evidence_world import TEE

SGX_STATE = "ConfigurationAndSWHardeningNeeded"
SGX_ADVISORIES = ("INTEL-SA-00289", "INTEL-SA-00615")
TAKES_SGX = IntelPolicy(statuses=("UpToDate", SGX_STATE))


@dataclass(frozen=True)
class Sample:
    """A published quote, the collateral that serves it, and a second at which both counted."""

    quote: str
    collateral: str
    at: int

    def judge(self, policy: IntelPolicy | None = None) -> Attestation:
        return appraise_intel(quote_of(self.quote), collateral_of(self.collateral), policy or IntelPolicy(), self.at)


def quote_of(name: str) -> bytes:
    """The bytes of a published quote, whatever it is wrapped in."""
    data = (TEE / name).read_bytes()
    if name == "dstack/quote-report.json":
        return bytes.fromhex(json.loads(data)["quote"].removeprefix("0x"))
    if name == "trustee/evidence-v1.json":
        return base64.urlsafe_b64decode(json.loads(data)["td_quote"] + "==")
    return bytes.fromhex(data.decode().strip().removeprefix("0x")) if name.endswith(".hex") else data


@functools.cache
def collateral_of(name: str) -> Collateral:
    return read_collateral((TEE / name).read_bytes())


OLDER = ("dcap-qvl/tdx_quote_collateral.json", 1_752_919_234)
NEWER = ("dcap-qvl/tdx_quote_outdated_collateral.json", 1_774_003_274)
TDX_4 = Sample("dcap-qvl/tdx_quote", *OLDER)
DSTACK = Sample("dstack/quote-report.json", *NEWER)
TDX_5 = Sample("go-tdx-guest/quote_v5_sample.dat", *NEWER)
SGX = Sample("dcap-qvl/sgx_quote", "dcap-qvl/sgx_quote_collateral.json", 1_752_919_277)
OUTDATED = Sample("dcap-qvl/tdx_quote_outdated", *NEWER)
SERVED = Sample("automata/quotev5.dat", *NEWER)

TAKEN = [
    (TDX_4, IntelPolicy(), "tdx-quote-v4", "UpToDate"),
    (DSTACK, IntelPolicy(), "tdx-quote-v4", "UpToDate"),
    (TDX_5, IntelPolicy(), "tdx-quote-v5", "UpToDate"),
    (SGX, TAKES_SGX, "sgx-quote-v3", SGX_STATE),
]


@pytest.mark.parametrize(("sample", "policy", "form", "tcb"), TAKEN, ids=lambda item: getattr(item, "quote", ""))
def test_a_genuine_quote_is_taken_as_hardware(sample: Sample, policy: IntelPolicy, form: str, tcb: str) -> None:
    shown = sample.judge(policy)
    assert (shown.format, shown.assurance, shown.root, shown.tcb) == (form, "hardware", INTEL_ROOT, tcb)
    assert len(bytes.fromhex(shown.platform)) == 16
    assert shown.proven
    assert any(item.endswith("no reference value") for item in shown.unchecked)


REFUSED = [
    (OUTDATED, IntelPolicy(), "No matching TCB level"),
    (SERVED, IntelPolicy(), "mrservicetd is 383c87d3.*, not zero"),
    (SGX, IntelPolicy(), f"TCB is {SGX_STATE}, not UpToDate"),
    (SGX, replace(TAKES_SGX, advisories=()), "INTEL-SA-00289 concerns the platform, and the policy takes no advisory"),
    (SGX, replace(TAKES_SGX, advisories=SGX_ADVISORIES[:1]), "INTEL-SA-00615 .*, and the policy takes INTEL-SA-00289"),
    (SGX, replace(TAKES_SGX, denied_advisories=SGX_ADVISORIES[1:]), "INTEL-SA-00615 .*, and the policy denies it"),
    (SGX, replace(TAKES_SGX, smt=False), "says Undefined to two threads a core, and the policy asks for False"),
    (TDX_4, IntelPolicy(smt=False), "says True to two threads a core"),
    (TDX_4, IntelPolicy(cached_keys=False), "says True to root keys cached by Intel"),
    (TDX_4, IntelPolicy(dynamic_platform=False), "says True to packages that can be added later"),
    (TDX_4, IntelPolicy(least_evaluation=18), "TCB info comes from evaluation 17, not at least 18"),
    (TDX_4, IntelPolicy(hardware=False), "development roots alone"),
    (TDX_4, IntelPolicy(registers={"mrtd": (bytes(48),)}), "mrtd is 91eb2b.*, not 0000"),
    (SGX, replace(TAKES_SGX, registers={"mrenclave": (bytes(32),)}), "mrenclave is 33d8736d.*, not 0000"),
    (Sample(TDX_4.quote, *NEWER), IntelPolicy(), "do not hold: .*"),
    (Sample(TDX_4.quote, SGX.collateral, SGX.at), IntelPolicy(), "not of the authority"),
    (Sample(SGX.quote, TDX_4.collateral, TDX_4.at), TAKES_SGX, "not of the authority"),
    (replace(TDX_4, at=TDX_4.at + 1), IntelPolicy(), "expired at"),
]


@pytest.mark.parametrize(("sample", "policy", "reason"), REFUSED, ids=lambda item: getattr(item, "quote", ""))
def test_a_genuine_quote_is_refused_for_the_right_reason(sample: Sample, policy: IntelPolicy, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        sample.judge(policy)


OTHERS = ("go-sev-guest/attestation.bin", "trustee/test-report.bin", "trustee/test-vlek-report.bin", "dstack/ccel.bin")


@pytest.mark.parametrize("name", OTHERS)
def test_evidence_of_other_makers_is_not_taken_for_a_quote(name: str) -> None:
    assert not is_quote(quote_of(name))


ALONE = (
    "dcap-qvl/quote-from-tappd.hex",
    "dcap-qvl/tdx-quote.hex",
    "go-tdx-guest/tdx_prod_quote_SPR_E4.dat",
    "go-tdx-guest/cos-113-tdx-quote.dat",
    "trustee/tdx_quote_4.dat",
    "trustee/evidence-v1.json",
    "automata/quotev3.hex",
    "automata/quotev4.hex",
)


@pytest.mark.parametrize("name", ALONE)
def test_a_genuine_quote_without_collateral_can_be_read(name: str) -> None:
    assert is_quote(quote_of(name))
    quote = Quote.from_bytes(quote_of(name))
    assert quote.root == INTEL_ROOT
    assert Quote.from_bytes(quote.to_bytes()) == quote


@pytest.mark.parametrize("name", ALONE)
def test_a_genuine_quote_without_collateral_of_its_time_is_refused(name: str) -> None:
    with pytest.raises(Refused):
        Sample(name, *NEWER).judge()


@pytest.mark.parametrize("name", ALONE)
def test_guests_and_enclaves_that_others_published_are_closed_but_for_one(name: str) -> None:
    quote = Quote.from_bytes(quote_of(name))
    if name == "trustee/tdx_quote_4.dat":
        with pytest.raises(Refused, match="can be debugged: attributes 0x10000001"):
            check_guest(quote)
    else:
        check_guest(quote)


@pytest.mark.parametrize("sample", [TDX_4, TDX_5, SGX], ids=lambda sample: str(sample.quote))
def test_no_bit_of_header_and_body_can_be_flipped(sample: Sample) -> None:
    quote = Quote.from_bytes(quote_of(sample.quote))
    check_quote_signature(quote)
    taken = []
    for bit in range(8 * len(quote.signed)):
        flipped = bytearray(quote.signed)
        flipped[bit // 8] ^= 1 << bit % 8
        with suppress(Refused):
            check_quote_signature(replace(quote, signed=bytes(flipped)))
            taken.append(bit)
    assert taken == []


@pytest.mark.slow
@pytest.mark.parametrize("sample", [TDX_4, TDX_5, SGX], ids=lambda sample: str(sample.quote))
def test_bytes_behind_the_body_never_change_what_a_quote_shows(sample: Sample) -> None:
    data, given, policy = quote_of(sample.quote), collateral_of(sample.collateral), TAKES_SGX
    shown, taken = sample.judge(policy), 0
    for at in range(Quote.from_bytes(data).kind.signed_size, len(data)):
        with suppress(Refused):
            flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            assert appraise_intel(flipped, given, policy, sample.at) == shown
            taken += 1
    assert taken, "line ends and padding have second spellings"


def test_a_chain_of_dice_certificates_is_refused_as_such() -> None:
    with pytest.raises(Refused, match="DICE/CWT outblob"):
        Quote.from_bytes(b"\xd9\xef\x61" + bytes(DICE_SIZE))
