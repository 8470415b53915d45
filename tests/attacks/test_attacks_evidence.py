"""Adversaries of evidence: each changes one thing in an honest world and is refused with a reason of its own."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import derive_private_key

from attestrain.appraise.intel.bodies import TDX_4, TDX_5_15
from attestrain.appraise.intel.policy import IntelPolicy
from attestrain.appraise.intel.quote import Quote
from attestrain.appraise.refused import Refused
from attestrain.attester.pki import DevPki
from attestrain.attester.simulator import SEPT_VE_DISABLE, SimulatedMachine
from attestrain.record.digest import sha256
from attestrain.record.evidence import MAX_QUOTE, MEASURED, Event
from attestrain.record.names import KeyEpoch, RunId, Worker
from tests.unit.evidence_world import (
    DAY,
    NOW,
    PARTICIPANT,
    STRANGER,
    World,
    events_of,
    honest_binding,
    honest_measured,
    honest_world,
    pki,
    platform,
    quoted,
    world_of,
)


@functools.cache
def other_pki() -> DevPki:
    """Another network's."""
    return DevPki.generate(NOW)


def other_world() -> World:
    """The same claims under another network's root, judged by who pins ours."""
    machine = SimulatedMachine(other_pki().provision(NOW))
    return world_of(machine, pki().root_digest)


def judged_by(world: World, policy: IntelPolicy) -> World:
    return replace(world, policy=policy)


def attributes(value: int) -> World:
    return world_of(SimulatedMachine(platform(), attributes=value), pki().root_digest)


def events(change: Callable[[tuple[Event, ...]], tuple[Event, ...]]) -> World:
    """A machine that measured something else than an honest one."""
    log = change(events_of(honest_measured()))
    evidence = quoted(SimulatedMachine(platform()), honest_binding(), log)
    return replace(honest_world(), evidence=evidence)


def log(change: Callable[[tuple[Event, ...]], tuple[Event, ...]]) -> World:
    """A log that says something else than what was measured."""
    world = honest_world()
    return world.with_evidence(events=change(world.evidence.events))


def wrong(at: int) -> Callable[[tuple[Event, ...]], tuple[Event, ...]]:
    forged = Event(MEASURED[at], sha256(b"something else").hex())
    return lambda measured: (*measured[:at], forged, *measured[at + 1 :])


def measuring(at: int) -> World:
    """A machine that runs something else, and says so."""
    return events(wrong(at))


def of_state(status: str) -> World:
    """The network's own PKI says that its platforms are in ``status``."""
    return honest_world().with_evidence(collateral=pki().collateral(NOW, status=status))


def other_key() -> World:
    """A platform whose secret is not the one that its certificate names."""
    key = derive_private_key(7, platform().key.curve)
    return world_of(SimulatedMachine(replace(platform(), key=key)), pki().root_digest)


def spliced() -> World:
    """A machine's honest vouching for one quote under another."""
    binding = replace(honest_binding(), session=STRANGER)
    theirs = quoted(SimulatedMachine(platform()), binding, events_of(honest_measured())).quote
    return honest_world().with_evidence(
        quote=honest_world().evidence.quote[: TDX_4.signed_size] + theirs[TDX_4.signed_size :]
    )


def swapped_key() -> World:
    """The quote is signed anew, by a key for which no quoting enclave vouches."""
    other = quoted(SimulatedMachine(platform()), honest_binding(), events_of(honest_measured()))
    theirs = Quote.from_bytes(other.quote)
    return honest_world().with_quote(TDX_4.signed_size + 4, theirs.signature + theirs.key)


def register(name: str, value: bytes) -> World:
    policy = replace(honest_world().policy, registers={name: (value,)})
    return judged_by(honest_world(), policy)


ATTACKS: dict[str, tuple[Callable[[], World], str]] = {
    # who, where and when
    "another run": (lambda: honest_world().with_binding(run=RunId(sha256(b"other run"))), "not bound to session key"),
    "another slot": (lambda: honest_world().with_binding(worker=Worker(2)), "not bound to .* of worker 2 in key"),
    "another role": (lambda: honest_world().with_binding(role="auditor"), "not bound to .* of auditor 1 in key"),
    "another key epoch": (lambda: honest_world().with_binding(key_epoch=KeyEpoch(1)), "not bound to .* in key epoch 1"),
    "another participant": (lambda: honest_world().with_binding(participant=STRANGER), "not bound to session key"),
    "a stolen quote": (lambda: honest_world().with_binding(session=STRANGER), f"not bound to session key {STRANGER}"),
    "keys exchanged": (lambda: honest_world().with_binding(session=PARTICIPANT), "not bound to session key"),
    "another block": (
        lambda: honest_world().with_binding(block_hash=sha256(b"fork")),
        f"names block 41 .*, not 41 .{sha256(b'fork').hex()}",
    ),
    "an older block": (lambda: honest_world().with_binding(block_number=42), "names block 41 .*, not 42"),
    "a block in the document alone": (
        lambda: honest_world().with_binding(block_number=42).with_evidence(block_number=42),
        "not bound to session key",
    ),
    # root
    "another network's root": (other_world, "neither Intel's nor a pinned development root"),
    "no pinned root": (lambda: judged_by(honest_world(), IntelPolicy()), "neither Intel's nor .*none"),
    "another network's collateral": (
        lambda: honest_world().with_evidence(collateral=other_pki().collateral(NOW)),
        "pck_crl_issuer_chain ends in root",
    ),
    # time
    "expired collateral": (lambda: replace(honest_world(), at=NOW + 30 * DAY), "the PCK revocation list expired at"),
    "evidence before its collateral": (
        lambda: replace(honest_world(), at=NOW - 2 * DAY),
        "certificate chain holds a certificate valid from",
    ),
    "collateral from the future": (
        lambda: honest_world().with_evidence(collateral=pki().collateral(NOW + 3 * DAY)),
        "the PCK revocation list was issued at .*, after the evidence",
    ),
    "stale TCB info": (
        lambda: judged_by(replace(honest_world(), at=NOW + 9 * DAY), replace(honest_world().policy, most_age=7 * DAY)),
        "the TCB info of .* is 9 days old, not at most 7",
    ),
    "a time before all": (lambda: replace(honest_world(), at=-1), "time -1 is not in"),
    "a time after all": (lambda: replace(honest_world(), at=1 << 60), "time 1152921504606846976 is not in"),
    # platform
    "a debugged guest": (lambda: attributes(SEPT_VE_DISABLE | 1), "the guest can be debugged"),
    "a migratable guest": (lambda: attributes(SEPT_VE_DISABLE | 1 << 29), "the guest can be migrated"),
    "a guest of unknown kind": (lambda: attributes(SEPT_VE_DISABLE | 1 << 40), "the guest has unknown attributes"),
    "a revoked platform": (
        lambda: honest_world().with_evidence(collateral=pki().collateral(NOW, revoked=[platform().chain[0]])),
        "the PCK revocation list revokes the platform's certificate",
    ),
    "a platform out of date": (lambda: of_state("OutOfDate"), "TCB is OutOfDate, not UpToDate"),
    "a platform in need of hardening": (
        lambda: of_state("SWHardeningNeeded"),
        "TCB is SWHardeningNeeded, not UpToDate",
    ),
    "a revoked TCB": (lambda: of_state("Revoked"), "do not hold: .*Revoked"),
    "a forged TCB info": (
        lambda: of_state("OutOfDate").with_collateral(tcb_info=honest_world().evidence.collateral.tcb_info),
        "the signature of the TCB info does not hold",
    ),
    "a forged QE identity": (
        lambda: honest_world().with_collateral(qe_identity='{"id":"TD_QE"}'),
        "the signature of the QE identity does not hold",
    ),
    "a revocation list for another": (
        lambda: honest_world().with_collateral(pck_crl=honest_world().evidence.collateral.root_ca_crl),
        "the PCK revocation list is not signed by its issuer",
    ),
    "a platform key of one's own": (other_key, "the signature of the quoting enclave's report does not hold"),
    "an attestation key of one's own": (swapped_key, "the quoting enclave vouches for attestation key"),
    "another quote's signature": (spliced, "the signature of the quote does not hold"),
    # measurements
    "an event edited in the log": (lambda: log(wrong(3)), "RTMR3 is .*, but the events give"),
    "events reordered in the log": (lambda: log(lambda all_: (all_[1], all_[0], *all_[2:])), "but the events give"),
    "an event missing in the log": (lambda: log(lambda all_: all_[:-1]), "but the events give"),
    "an event invented in the log": (lambda: log(lambda all_: (*all_, all_[0])), "but the events give"),
    "an empty log": (lambda: log(lambda all_: ()), "but the events give"),
    "events measured in another order": (
        lambda: events(lambda all_: (all_[1], all_[0], *all_[2:])),
        "measured were dependencies, package,",
    ),
    "an event not measured": (lambda: events(lambda all_: all_[:-1]), "measured were .*dataset, not"),
    "an event more": (lambda: events(lambda all_: (*all_, Event("shell", "1"))), "measured were .*, shell, not"),
    "nothing measured": (lambda: events(lambda all_: ()), "measured were nothing, not"),
    **{
        f"another {name}": (functools.partial(measuring, at), f"measured {name} .*, not")
        for at, name in enumerate(MEASURED)
    },
    "another image": (lambda: register("mrtd", bytes(48)), "mrtd is .*, not 0000"),
    "another kernel": (lambda: register("rtmr1", b"\1" * 48), "rtmr1 is 0000.*, not 0101"),
    "a register that no machine has": (lambda: register("rtmr9", bytes(48)), "registers that do not exist: rtmr9"),
    # form
    "an empty quote": (lambda: honest_world().with_evidence(quote=b""), "ends within its header: 0 bytes"),
    "a quote cut short": (
        lambda: honest_world().with_evidence(quote=honest_world().evidence.quote[:-1]),
        "ends within its signature data",
    ),
    "a quote too large": (
        lambda: honest_world().with_evidence(quote=honest_world().evidence.quote.ljust(MAX_QUOTE + 1, b"\0")),
        "has 16385 bytes, more than 16384",
    ),
    "a quote that promises 4 GiB": (
        lambda: honest_world().with_quote(TDX_4.signed_size, struct.pack("<I", 0xFFFFFFFF)),
        "ends within its signature data: .* of 4294967931",
    ),
    "a quote of version 5": (
        lambda: honest_world().with_quote(0, struct.pack("<H", 5)),
        "body is of type 262, not 2 or 3",
    ),
    "an SGX quote": (lambda: honest_world().with_quote(4, bytes(4)), "version 4 is of TEE type 0x0, not 0x81"),
    "a key on another curve": (lambda: honest_world().with_quote(2, struct.pack("<H", 3)), "key is of type 3, not 2"),
    "another quoting enclave": (lambda: honest_world().with_quote(12, bytes(16)), "quoting enclave vendor 0000"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_one_change_to_an_honest_world_is_refused_for_its_own_reason(name: str) -> None:
    attack, reason = ATTACKS[name]
    with pytest.raises(Refused, match=reason):
        attack().judge()


def test_the_honest_world_is_taken_as_simulated() -> None:
    appraisal = honest_world().judge()
    assert (appraisal.assurance, appraisal.tcb_status) == ("simulated", "UpToDate")
    assert appraisal.root == pki().root_digest


def test_no_byte_of_header_and_report_can_be_flipped() -> None:
    world = honest_world()
    taken = []
    for at in range(TDX_4.signed_size):
        try:
            world.with_quote(at, bytes([world.evidence.quote[at] ^ 1])).judge()
        except Refused:
            continue
        taken.append(at)
    assert taken == []


def test_bytes_behind_the_report_change_the_identity_of_no_evidence() -> None:
    world, taken = honest_world(), 0
    identity = world.judge().identity
    for at in range(TDX_4.signed_size, len(world.evidence.quote)):
        try:
            assert world.with_quote(at, bytes([world.evidence.quote[at] ^ 0x80])).judge().identity == identity
        except Refused:
            continue
        taken += 1
    assert taken, "line ends of the certificate chain have second spellings"


@pytest.mark.parametrize("tail", [b"\0", bytes(71), b"-----BEGIN CERTIFICATE-----\n"])
def test_bytes_behind_the_quote_change_nothing(tail: bytes) -> None:
    world = honest_world()
    longer = world.with_evidence(quote=world.evidence.quote + tail)
    assert longer.judge() == world.judge()
    assert longer.evidence.to_bytes() != world.evidence.to_bytes()


def test_two_machines_on_one_platform_are_told_apart_by_what_they_hold() -> None:
    binding = replace(honest_binding(), session=STRANGER)
    log_ = events_of(honest_measured())
    other = replace(honest_world(), evidence=quoted(SimulatedMachine(platform()), binding, log_), binding=binding)
    assert other.judge().platform == honest_world().judge().platform
    assert other.judge().identity != honest_world().judge().identity


def test_a_simulated_quote_never_reads_hardware_whatever_is_pinned() -> None:
    intel = IntelPolicy(roots=(), hardware=True)
    with pytest.raises(Refused, match="neither Intel's nor"):
        judged_by(honest_world(), intel).judge()
    both = IntelPolicy(roots=(other_pki().root_digest, pki().root_digest))
    assert judged_by(honest_world(), both).judge().assurance == "simulated"


@pytest.mark.parametrize("name", ["mrconfigid", "mrowner", "mrownerconfig", "mrsignerseam", "seamattributes"])
def test_a_register_that_must_be_zero_cannot_be_set_even_by_the_platforms_owner(name: str) -> None:
    class Setting(SimulatedMachine):
        def _report(self, report_data: bytes) -> bytes:
            report = bytearray(super()._report(report_data))
            report[TDX_4.fields[name][0]] = 1
            return bytes(report)

    with pytest.raises(Refused, match=f"{name} is 01"):
        world_of(Setting(platform()), pki().root_digest).judge()


def test_fields_of_the_report_lie_where_the_flips_reach_them() -> None:
    for kind in (TDX_4, TDX_5_15):
        assert sum(size for _, size in kind.fields.values()) == kind.size
