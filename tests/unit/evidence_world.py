"""An honest world of evidence, in which tests change one thing."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attestrain.appraise.appraisal import Appraisal, Binding, Measured, appraise
from attestrain.appraise.intel.policy import IntelPolicy
from attestrain.attester.pki import DevPki
from attestrain.attester.platform import Platform
from attestrain.attester.simulator import SimulatedMachine
from attestrain.record.digest import Digest, sha256
from attestrain.record.evidence import MEASURED, Event, Evidence
from attestrain.record.keys import SigningKey
from attestrain.record.names import KeyEpoch, RunId, Worker

NOW = 1_780_000_000
"""When everything happens: in the middle of 2026."""
DAY = 86_400
TEE = Path(__file__).parents[1] / "data/tee"
"""Genuine quotes that others published."""

PARTICIPANT, SESSION, STRANGER = (SigningKey(bytes([number]) * 32).address for number in (1, 2, 3))


@functools.cache
def pki() -> DevPki:
    """The network's development PKI."""
    return DevPki.generate(NOW)


@functools.cache
def platform() -> Platform:
    """A platform that it provisioned."""
    return pki().provision(NOW)


def honest_binding() -> Binding:
    """What the evidence is bound to."""
    return Binding(
        session=SESSION,
        participant=PARTICIPANT,
        run=RunId(sha256(b"run")),
        role="worker",
        worker=Worker(1),
        key_epoch=KeyEpoch(0),
        block_number=41,
        block_hash=sha256(b"block"),
    )


def honest_measured() -> Measured:
    """What has been measured."""
    return Measured(
        package=sha256(b"package"),
        run_spec=RunId(sha256(b"run")),
        dataset=sha256(b"dataset"),
        environment=sha256(b"environment"),
        dependencies=sha256(b"dependencies"),
    )


def events_of(measured: Measured) -> tuple[Event, ...]:
    """The event log in which ``measured`` stands."""
    return tuple(Event(name, getattr(measured, name.replace("-", "_")).hex()) for name in MEASURED)


@dataclass(frozen=True)
class World:
    """Evidence, and everything that it is judged by."""

    evidence: Evidence
    binding: Binding
    measured: Measured
    policy: IntelPolicy
    at: int = NOW

    def judge(self) -> Appraisal:
        """Appraise it."""
        return appraise(self.evidence, self.binding, self.measured, self.policy, self.at)

    def with_evidence(self, **changes: Any) -> World:
        """The same but for some fields of the evidence."""
        return replace(self, evidence=replace(self.evidence, **changes))

    def with_collateral(self, **changes: Any) -> World:
        """The same but for some fields of the collateral."""
        return self.with_evidence(collateral=replace(self.evidence.collateral, **changes))

    def with_binding(self, **changes: Any) -> World:
        """The same evidence under another binding."""
        return replace(self, binding=replace(self.binding, **changes))

    def with_quote(self, at: int, data: bytes) -> World:
        """The same but for bytes of the quote."""
        quote = self.evidence.quote
        return self.with_evidence(quote=quote[:at] + data + quote[at + len(data) :])


def quoted(machine: SimulatedMachine, binding: Binding, events: tuple[Event, ...]) -> Evidence:
    """Evidence by ``machine``."""
    return machine.evidence(binding.report_data, events, binding.block_number, binding.block_hash)


def world_of(machine: SimulatedMachine, root: Digest) -> World:
    """Honest evidence of ``machine``, judged by who pins ``root``."""
    binding, measured = honest_binding(), honest_measured()
    return World(quoted(machine, binding, events_of(measured)), binding, measured, IntelPolicy(roots=(root,)))


@functools.cache
def honest_world() -> World:
    """Nothing is wrong here."""
    return world_of(SimulatedMachine(platform()), pki().root_digest)
