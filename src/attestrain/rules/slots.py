"""Where the contracts keep what a verdict reads: storage slots, and what is packed into them (spec/contracts.md).

Solidity puts the value of ``mapping(key => T)`` declared at slot p into slot keccak256(key . p) and those after it, and
packs small members of a struct from the low end of a word on.
"""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.record.digest import Digest
from attestrain.record.eip712 import address_bytes, keccak256
from attestrain.record.names import Address, KeyEpoch, Round, RunId, Worker
from attestrain.rules.accumulator import word

ROLE_NUMBERS = {"worker": 0, "auditor": 1}
"""Roles as the contracts number them."""
OPEN, GUILTY, INNOCENT, VOID = 1, 2, 3, 4
"""States of a case."""
OUTCOMES = {OPEN: "open", GUILTY: "guilty", INNOCENT: "innocent", VOID: "void"}

WIRING: dict[str, dict[str, int]] = {
    "vault": {"ledger": 4, "registry": 5, "cases": 6},
    "registry": {"ledger": 5, "vault": 6},
    "cases": {"ledger": 5, "registry": 6, "vault": 7},
    "settlement": {"ledger": 2},
}
"""Slots in which a contract keeps, in the low 20 bytes, where the others are. The code says nothing about that."""


def wiring_slots(contract: str) -> tuple[bytes, ...]:
    """The slots of `WIRING`."""
    return tuple(word(place) for place in WIRING.get(contract, {}).values())


def address_in(value: bytes) -> Address:
    """The account in the low end of a word."""
    return Address("0x" + value[12:].hex())


def member(key: bytes, place: int, mapping: int = 0) -> bytes:
    """Slot of word ``place`` of the value under ``key`` (32 bytes) in the mapping declared at slot ``mapping``."""
    base = int.from_bytes(keccak256(key + word(mapping)), "big")
    return word((base + place) % (1 << 256))


def _address_key(address: Address) -> bytes:
    return address_bytes(address).rjust(32, b"\x00")


def run_slots(run: RunId) -> tuple[bytes, ...]:
    """The four words of a run in the RunLedger, and of its payout in Settlement (which has three)."""
    return tuple(member(run, place) for place in range(4))


def account_slots(participant: Address) -> tuple[bytes, bytes]:
    """The two words of an account in the StakeVault."""
    key = _address_key(participant)
    return member(key, 0), member(key, 1)


def enrolment_slot(run: RunId, role: str, slot: Worker, epoch: KeyEpoch, participant: Address) -> bytes:
    """A participant's entry for a key epoch in the ParticipantRegistry."""
    return member(enrolment_key(run, role, slot, epoch, participant), 0)


def enrolment_key(run: RunId, role: str, slot: Worker, epoch: KeyEpoch, participant: Address) -> Digest:
    """How the registry calls an entry."""
    place = run + word(ROLE_NUMBERS[role]) + word(slot) + word(epoch)
    return Digest(keccak256(place + _address_key(participant)))


def case_slot(run: RunId, round_: Round, worker: Worker, segment: int, accused: Address) -> bytes:
    """First word of a case."""
    return member(case_id(run, round_, worker, segment, accused), 0)


def case_id(run: RunId, round_: Round, worker: Worker, segment: int, accused: Address) -> Digest:
    """How the contracts call the case against an account about a segment."""
    return Digest(keccak256(run + word(round_) + word(worker) + word(segment) + _address_key(accused)))


def enrolment_entry(
    participant: Address, session: Address, until: int, evidence: Digest, number: int, block: Digest, timestamp: int
) -> Digest:
    """What the registry keeps of an enrolment."""
    accounts = _address_key(participant) + _address_key(session)
    return Digest(keccak256(accounts + word(until) + evidence + word(number) + block + word(timestamp)))


def _part(value: bytes, begin: int, size: int) -> int:
    """The unsigned integer of ``size`` bytes that begins ``begin`` bytes above the low end of a word."""
    return int.from_bytes(value[32 - begin - size : 32 - begin], "big")


@dataclass(frozen=True, slots=True)
class RunWords:
    """A run in the RunLedger. Stakes are in wei, times in seconds since 1970."""

    accumulator: Digest
    sequencer: Address
    epochs: int
    deadline: int
    closed_at: int
    missed: int
    closed: bool
    worker_stake: int
    auditor_stake: int

    @classmethod
    def read(cls, words: tuple[bytes, ...]) -> RunWords:
        """Unpack the four words of `run_slots`."""
        first, second, third, fourth = words
        return cls(
            accumulator=Digest(first),
            sequencer=address_in(second),
            epochs=_part(second, 28, 4),
            deadline=_part(third, 0, 8),
            closed_at=_part(third, 8, 8),
            missed=_part(third, 16, 4),
            closed=bool(_part(third, 20, 1)),
            worker_stake=_part(fourth, 0, 16),
            auditor_stake=_part(fourth, 16, 16),
        )


@dataclass(frozen=True, slots=True)
class AccountWords:
    """An account in the StakeVault: wei at stake, lost, and asked back; ``holds`` counts runs that hold it."""

    stake: int
    slashed: int
    pending: int
    ready_at: int
    holds: int

    @classmethod
    def read(cls, words: tuple[bytes, bytes]) -> AccountWords:
        """Unpack the two words of `account_slots`."""
        first, second = words
        amounts = _part(first, 0, 16), _part(first, 16, 16), _part(second, 0, 16)
        return cls(*amounts, ready_at=_part(second, 16, 8), holds=_part(second, 24, 4))


@dataclass(frozen=True, slots=True)
class CaseWord:
    """A case: whom it accuses, how it stands, how many auditors decide it."""

    accused: Address
    status: int
    committee: int

    @classmethod
    def read(cls, value: bytes) -> CaseWord:
        """Unpack the word of `case_slot`."""
        return cls(address_in(value), _part(value, 28, 1), _part(value, 29, 1))


@dataclass(frozen=True, slots=True)
class PayoutWords:
    """A run's payout in Settlement, in wei."""

    root: Digest
    funded: int
    total: int
    claimed: int

    @classmethod
    def read(cls, words: tuple[bytes, ...]) -> PayoutWords:
        """Unpack the first three words of `run_slots`."""
        first, second, third = words[:3]
        return cls(Digest(first), _part(second, 0, 16), _part(second, 16, 16), _part(third, 0, 32))
