"""Where a run is played: which roles have processes here, who may take which slot, where its service listens."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from attestrain.record.names import Address, Worker
from attestrain.run.config import RunConfig
from attestrain.run.keyring import Keyring
from attestrain.run.service.clerk import Claim
from attestrain.run.service.members import Member, Members
from attestrain.run.service.server import LOOPBACK

SOLO = "solo"
"""The process that trains alone for comparison, and its events."""
ROLES = ("worker", "auditor")
JOIN_SECONDS = 120.0
"""Seconds the processes of a run on one machine have to come up: only a very busy one needs many."""

Seats = dict[tuple[str, Worker], Address]
"""Who may take which slot: role and slot to the participant's account."""


@dataclass(slots=True)
class Stage:
    """A run's surroundings.

    Attributes:
        seats: who may take which slot; on a network it fills as invitations are taken up.
        members: who may write to the service.
        local: roles that have processes on this machine.
        host, port: where the service listens; port 0 for any that is free.
        claim: gives slots to those who were invited; None where nobody is.
        patience: seconds to wait for everybody before the first round.
        elsewhere: whether workers come from other machines, so that a run without any waits for one.
        greeted: told of the account of every participant who takes a slot.
    """

    seats: Seats
    members: Members
    local: frozenset[str] = frozenset(ROLES)
    host: str = LOOPBACK
    port: int = 0
    claim: Claim | None = None
    patience: float = JOIN_SECONDS
    elsewhere: bool = False
    greeted: list[Callable[[Address], None]] = field(default_factory=list)

    @property
    def worker_patience(self) -> float:
        """Seconds to wait for a first worker, when there is none."""
        return math.inf if self.elsewhere else 0.0


def local_stage(config: RunConfig, keys: Keyring) -> Stage:
    """A run whose roles are all processes of this machine, with keys that it makes."""
    seats = {(role, slot): keys.signing(f"{role}-{slot}").address for role, slot in slots_of(config)}
    members = Members([(address, Member(role, slot)) for (role, slot), address in seats.items()])
    members.add(keys.signing(SOLO).address, Member(SOLO, Worker(0)))
    return Stage(seats, members)


def slots_of(config: RunConfig) -> list[tuple[str, Worker]]:
    """Every slot of a run: those of its workers, then those of its auditors."""
    counts = {"worker": config.schedule.workers, "auditor": config.audit.auditors}
    return [(role, Worker(slot)) for role, count in counts.items() for slot in range(count)]
