"""Adversaries of quotes of version 5 and of their collateral: each changes one thing and is refused for its reason."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from attestrain.appraise.attestation import Attestation
from attestrain.appraise.intel.appraise import appraise_intel
from attestrain.appraise.intel.bodies import HEADER_SIZE, TDX, TDX_4, TDX_5_15, Kind
from attestrain.appraise.intel.policy import IntelPolicy
from attestrain.appraise.intel.quote import Quote
from attestrain.appraise.refused import Refused
from attestrain.attester.p256 import sign_raw
from attestrain.attester.simulator import SimulatedMachine
from attestrain.record.digest import ZERO_DIGEST
from attestrain.record.evidence import Collateral
from tests.unit.evidence_world import NOW, World, honest_world, pki, platform, world_of
from tests.unit.test_evidence_signatures import authority

NEW = [kind for kind in TDX if kind is not TDX_4]


@functools.cache
def quote_of(kind: Kind) -> bytes:
    """An honest guest's quote."""
    return SimulatedMachine(platform(), kind=kind).evidence(bytes(64), (), 0, ZERO_DIGEST).quote


def judge(quote: bytes, given: Collateral | None = None, policy: IntelPolicy | None = None) -> Attestation:
    policy = policy or IntelPolicy(roots=(pki().root_digest,))
    return appraise_intel(quote, given or platform().collateral, policy, NOW)


def at(kind: Kind, place: int, data: bytes) -> bytes:
    quote = quote_of(kind)
    return quote[:place] + data + quote[place + len(data) :]


def set_by_owner(kind: Kind, name: str) -> bytes:
    """A guest whose owner set a field, and whose machine signs that."""

    class Setting(SimulatedMachine):
        def _report(self, report_data: bytes) -> bytes:
            report = bytearray(super()._report(report_data))
            report[kind.fields[name][0]] = 1
            return bytes(report)

    return Setting(platform(), kind=kind).evidence(bytes(64), (), 0, ZERO_DIGEST).quote


def signed_anew(statement: str, old: str, new: str) -> Collateral:
    """Collateral in which the network's own authority says something else."""
    text = getattr(platform().collateral, statement)
    assert old in text
    text = text.replace(old, new)
    signature = sign_raw(authority("statements"), text.encode())
    return replace(platform().collateral, **{statement: text, f"{statement}_signature": signature})


@pytest.mark.parametrize("kind", TDX, ids=lambda kind: f"{kind.version}-{kind.type}")
def test_an_honest_guest_is_taken_as_simulated(kind: Kind) -> None:
    shown = judge(quote_of(kind))
    assert (shown.format, shown.assurance, shown.tcb) == (kind.format, "simulated", "UpToDate")
    assert Quote.from_bytes(quote_of(kind)).to_bytes() == quote_of(kind)


@pytest.mark.parametrize("kind", NEW, ids=lambda kind: f"{kind.version}-{kind.type}")
def test_version_5_binds_a_session_key_as_version_4_does(kind: Kind) -> None:
    world: World = honest_world()
    newer = world_of(SimulatedMachine(platform(), kind=kind), pki().root_digest)
    assert newer.judge().assurance == world.judge().assurance == "simulated"


ATTACKS: dict[str, tuple[Callable[[], Attestation], str]] = {
    "a service guest": (lambda: judge(set_by_owner(TDX_5_15, "mrservicetd")), "mrservicetd is 01.*, not zero"),
    "a module of others": (lambda: judge(set_by_owner(TDX_5_15, "mrsignerseam")), "mrsignerseam is 01"),
    "a body that says it is shorter": (
        lambda: judge(at(TDX_5_15, HEADER_SIZE, struct.pack("<HI", 3, 584))),
        "body of type 3 has 584 bytes, not 648",
    ),
    "a body of another type": (
        lambda: judge(at(TDX_5_15, HEADER_SIZE, struct.pack("<HI", 2, 584))),
        "the quote ends within its signature data",
    ),
    "a body with devices": (lambda: judge(at(TDX_5_15, HEADER_SIZE, b"\4")), "type 4, a TD report 1.5 with migrations"),
    "an enclave's body": (lambda: judge(at(TDX_5_15, HEADER_SIZE, b"\1")), "type 1, not 2 or 3"),
    "a version of the future": (lambda: judge(at(TDX_5_15, 0, b"\6")), "version 6, not 3 or 4 or 5"),
    "version 3 of a guest": (lambda: judge(at(TDX_4, 0, b"\3")), "version 3 is of TEE type 0x81, not 0x0"),
    "another signer of quoting enclaves": (
        lambda: judge(quote_of(TDX_4), signed_anew("qe_identity", '"mrsigner":"', '"mrsigner":"00')),
        "mrsigner has 33 bytes, not 32",
    ),
    "another product": (
        lambda: judge(quote_of(TDX_4), signed_anew("qe_identity", '"isvprodid":2', '"isvprodid":1')),
        "the quoting enclave's product is 2, not 1",
    ),
    "a quoting enclave in debug mode": (
        lambda: judge(quote_of(TDX_4), signed_anew("qe_identity", '"attributes":"11', '"attributes":"13')),
        "the quoting enclave's attributes under the mask are 11.*, not 13",
    ),
    "the identity of SGX's enclave": (
        lambda: judge(quote_of(TDX_4), signed_anew("qe_identity", '"id":"TD_QE"', '"id":"QE"')),
        "the QE identity is of QE, not TD_QE",
    ),
    "an evaluation of old": (
        lambda: judge(quote_of(TDX_4), signed_anew("tcb_info", 'Number":17', 'Number":16')),
        "the TCB info comes from evaluation 16, not at least 17",
    ),
    "an identity of old": (
        lambda: judge(quote_of(TDX_4), signed_anew("qe_identity", 'Number":17', 'Number":16')),
        "the QE identity comes from evaluation 16, not at least 17",
    ),
    "no evaluation": (
        lambda: judge(quote_of(TDX_4), signed_anew("tcb_info", 'Number":17', 'Number":"x"')),
        "the TCB info does not say which evaluation",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_one_change_is_refused_for_its_own_reason(name: str) -> None:
    attack, reason = ATTACKS[name]
    with pytest.raises(Refused, match=reason):
        attack()


@pytest.mark.parametrize("kind", NEW, ids=lambda kind: f"{kind.version}-{kind.type}")
def test_no_byte_of_header_and_body_can_be_changed(kind: Kind) -> None:
    taken = []
    for place in range(kind.signed_size):
        with suppress(Refused):
            judge(at(kind, place, bytes([quote_of(kind)[place] ^ 1])))
            taken.append(place)
    assert taken == []


@pytest.mark.parametrize("kind", NEW, ids=lambda kind: f"{kind.version}-{kind.type}")
def test_bytes_behind_the_body_change_the_identity_of_no_evidence(kind: Kind) -> None:
    identity, taken = judge(quote_of(kind)).identity, 0
    for place in range(kind.signed_size, len(quote_of(kind))):
        with suppress(Refused):
            assert judge(at(kind, place, bytes([quote_of(kind)[place] ^ 0x80]))).identity == identity
            taken += 1
    assert taken, "line ends of the certificate chain have second spellings"
