"""The chain as a verdict sees it: storage slots of the contracts in one block's state, each proved.

The header is held against the pinned block, the accounts against the header, the contracts' code against the artefacts
that ship with this package, the slots against the accounts. Reads raise `Missing` for what the bundle does not bring.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from attestrain.record.bundle import CHAIN, Bundle
from attestrain.record.chain import CONTRACTS, ChainFacts, EnrolmentFact
from attestrain.record.digest import Digest
from attestrain.record.eip712 import address_bytes
from attestrain.record.names import Address, KeyEpoch, Round, RunId, Worker
from attestrain.record.statements import Join
from attestrain.rules.accumulator import word
from attestrain.rules.header import Header, read_header
from attestrain.rules.slots import (
    WIRING,
    AccountWords,
    CaseWord,
    PayoutWords,
    RunWords,
    account_slots,
    address_in,
    case_slot,
    enrolment_slot,
    run_slots,
)
from attestrain.rules.trie import Account, read_account, read_slot
from attestrain.verify.checks import Contradiction, Missing, require
from attestrain.verify.policy import ChainPin
from attestrain.verify.structure import read

SOURCES = {
    "ledger": "RunLedger",
    "vault": "StakeVault",
    "registry": "ParticipantRegistry",
    "cases": "Cases",
    "settlement": "Settlement",
}
"""Contracts by what the package calls them: names of their artefacts."""


@cache
def code_hashes() -> dict[str, Digest]:
    """Keccak-256 of the runtime code of every contract that ships with this package."""
    folder = files("attestrain").joinpath("data", "contracts")
    artefacts = {name: json.loads(folder.joinpath(f"{SOURCES[name]}.json").read_text("ascii")) for name in CONTRACTS}
    return {
        name: Digest(bytes.fromhex(artefact["code_hash"].removeprefix("0x"))) for name, artefact in artefacts.items()
    }


@dataclass(frozen=True, slots=True)
class ChainState:
    """The contracts' storage in the state of one block."""

    facts: ChainFacts
    header: Header
    accounts: dict[str, Account]
    enrolments: dict[tuple[str, Worker, KeyEpoch], EnrolmentFact]

    def slot(self, contract: str, slot: bytes) -> bytes:
        """A storage slot.

        Raises:
            Missing: the bundle does not prove this slot.
            FormatError: its proof does not hold.
        """
        proofs = self.facts.accounts[self.facts.contracts[contract]].slots
        if slot not in proofs:
            raise Missing(f"chain facts do not prove slot {slot.hex()[:16]}... of the {contract}")
        return read_slot(self.accounts[contract].storage_root, slot, proofs[slot])

    def run(self, run: RunId) -> RunWords:
        """The run in the RunLedger."""
        return RunWords.read(tuple(self.slot("ledger", slot) for slot in run_slots(run)))

    def stake(self, participant: Address) -> AccountWords:
        """A participant's account in the StakeVault."""
        first, second = account_slots(participant)
        return AccountWords.read((self.slot("vault", first), self.slot("vault", second)))

    def enrolment(self, join: Join) -> tuple[bytes, EnrolmentFact]:
        """The registry's entry for a join's key epoch, and what the bundle says went into it.

        Raises:
            Missing: the bundle says nothing about it.
        """
        slot = enrolment_slot(join.run, join.role, join.worker, join.key_epoch, join.participant)
        fact = self.enrolments.get((join.role, join.worker, join.key_epoch))
        if fact is None:
            raise Missing(f"chain facts say nothing about {join.role} {join.worker} in key epoch {join.key_epoch}")
        return self.slot("registry", slot), fact

    def case(self, run: RunId, round_: Round, worker: Worker, segment: int, accused: Address) -> CaseWord:
        """A case against an account."""
        return CaseWord.read(self.slot("cases", case_slot(run, round_, worker, segment, accused)))

    def payout(self, run: RunId) -> PayoutWords:
        """The run in Settlement."""
        return PayoutWords.read(tuple(self.slot("settlement", slot) for slot in run_slots(run)[:3]))


def read_chain(bundle: Bundle, pin: ChainPin | None) -> tuple[ChainState, str]:
    """(2) The contracts in the pinned block's state.

    Raises:
        Missing: the bundle brings nothing of the chain, or too little.
        Contradiction, FormatError: another chain, block, address or code than pinned, a contract that takes its orders
            from none of the others, or a proof that does not hold.
    """
    facts = ChainFacts.from_bytes(read(bundle, CHAIN))
    header = read_header(facts.header)
    if pin is not None:
        _require_pinned(facts, header, pin)
    accounts = {name: _read_contract(facts, header, name) for name in CONTRACTS}
    strays = facts.accounts.keys() - set(facts.contracts.values())
    require(not strays, f"the facts prove {min(strays, default='')}, which is none of the contracts")
    enrolments = {(fact.role, fact.worker, fact.key_epoch): fact for fact in facts.enrolments}
    state = ChainState(facts, header, accounts, enrolments)
    for name in CONTRACTS:
        for slot in facts.accounts[facts.contracts[name]].slots:
            state.slot(name, slot)
    for name in CONTRACTS:
        _require_wired(state, name)
    return state, f"chain {facts.chain_id}, block {header.number} {header.hash.hex()}"


def _require_pinned(facts: ChainFacts, header: Header, pin: ChainPin) -> None:
    require(facts.chain_id == pin.id, f"the facts are of chain {facts.chain_id}, not of the pinned {pin.id}")
    same = (header.hash, header.number) == (pin.block, pin.number)
    require(same, f"the facts are of block {header.number} {header.hash.hex()}, not of the pinned one")
    for name in CONTRACTS:
        address, pinned = facts.contracts[name], pin.contracts[name]
        require(address == pinned, f"the {name} is at {address}, not at the pinned {pinned}")


def _require_wired(state: ChainState, name: str) -> None:
    """Whoever deployed a contract told it where the others are: a vault that obeys a stranger keeps nobody's stake."""
    for other, place in WIRING.get(name, {}).items():
        told, right = address_in(state.slot(name, word(place))), state.facts.contracts[other]
        require(told == right, f"the {name} takes {told} for the {other}, which is at {right}")


def _read_contract(facts: ChainFacts, header: Header, name: str) -> Account:
    """A contract's account, which must hold the code that ships with this package."""
    address = facts.contracts[name]
    if address not in facts.accounts:
        raise Missing(f"chain facts do not prove the {name} at {address}")
    account = read_account(header.state_root, address_bytes(address), facts.accounts[address].proof)
    if account is None:
        raise Contradiction(f"there is no {name} at {address}")
    require(account.code_hash == code_hashes()[name], f"the {name} at {address} has other code than this package's")
    return account
