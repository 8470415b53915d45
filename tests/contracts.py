"""What the Solidity contracts keep, and where Solidity puts it, written a second time with eth_abi.

An invented chain for tests: its blocks have hashes but no past, and its state holds whatever a test writes. What our
verifier reads from it, it reads as from a chain.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import rlp
from eth_abi.abi import encode as abi
from eth_utils.crypto import keccak

from attestrain.record.chain import AccountProof, CaseFact, ChainFacts, EnrolmentFact
from attestrain.record.digest import Digest
from attestrain.record.names import Address, KeyEpoch, Round, Worker
from tests.state import START, header, state_trie, storage_trie

SOURCES = {
    "ledger": "RunLedger",
    "vault": "StakeVault",
    "registry": "ParticipantRegistry",
    "cases": "Cases",
    "settlement": "Settlement",
}
WIRING = {
    "vault": {4: "ledger", 5: "registry", 6: "cases"},
    "registry": {5: "ledger", 6: "vault"},
    "cases": {5: "ledger", 6: "registry", 7: "vault"},
    "settlement": {2: "ledger"},
}
"""Where the contracts keep the others' addresses (spec/contracts.md)."""


def mapped(kind: str, key: object, slot: int, place: int = 0) -> int:
    """Where Solidity keeps word ``place`` of the value under ``key`` of the mapping at ``slot``."""
    return (int.from_bytes(keccak(abi([kind, "uint256"], [key, slot])), "big") + place) % 2**256


def packed(*members: tuple[int, int]) -> int:
    """Members (value, bytes) of a word, low end first."""
    word, shift = 0, 0
    for value, size in members:
        assert 0 <= value < 1 << 8 * size
        word |= value << shift
        shift += 8 * size
    assert shift <= 256
    return word


def artefact(name: str) -> dict[str, Any]:
    """A contract as it ships with the package."""
    text = files("attestrain").joinpath("data", "contracts", f"{SOURCES[name]}.json").read_text("ascii")
    document: dict[str, Any] = json.loads(text)
    return document


@cache
def code_hash(name: str) -> bytes:
    return keccak(bytes.fromhex(artefact(name)["runtime"].removeprefix("0x")))


@dataclass
class Contracts:
    """The contracts on a chain of their own. Words can be overwritten, as no chain would."""

    tag: str = "true"
    chain_id: int = 31_337
    number: int = 100
    timestamp: int = START
    storage: dict[str, dict[int, int]] = field(default_factory=lambda: {name: {} for name in SOURCES})
    code: dict[str, bytes] = field(default_factory=lambda: {name: code_hash(name) for name in SOURCES})
    runs: dict[bytes, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, places in WIRING.items():
            for slot, other in places.items():
                self.storage[name][slot] = int(self.addresses[other], 16)

    @property
    def addresses(self) -> dict[str, Address]:
        return {name: Address("0x" + keccak(f"{self.tag} {name}".encode())[12:].hex()) for name in SOURCES}

    def mine(self, blocks: int = 1) -> None:
        self.number += blocks
        self.timestamp += 12 * blocks

    def block_hash(self, number: int) -> Digest:
        return Digest(keccak(f"{self.tag} block {number}".encode()))

    # RunLedger

    def open(self, run: bytes, sequencer: str, worker_stake: int, auditor_stake: int) -> None:
        domain = keccak(b"attestrain.dev/run-ledger@v1")
        self.runs[run] = {
            "accumulator": keccak(abi(["bytes32", "bytes32", "address"], [domain, run, sequencer])),
            "sequencer": int(sequencer, 16),
            "pending": self.number + 2,
            "epochs": 0,
            "deadline": self.timestamp + 86_400,
            "closed_at": 0,
            "missed": 0,
            "closed": False,
            "stakes": (worker_stake, auditor_stake),
        }
        self.mine()

    def capture(self, run: bytes) -> tuple[int, Digest]:
        state = self.runs[run]
        height = state["pending"]
        self.mine(height + 1 - self.number)
        value = self.block_hash(height)
        state["accumulator"] = keccak(abi(["bytes32", "uint256", "bytes32"], [state["accumulator"], height, value]))
        state["pending"] = 0
        self.mine()
        return height, value

    def anchor(self, run: bytes, epoch: int, root: bytes, size: int, checkpoint: bytes, *, last: bool) -> None:
        state = self.runs[run]
        kinds = ["bytes32", "uint256", "bytes32", "uint256", "bytes32"]
        state["accumulator"] = keccak(abi(kinds, [state["accumulator"], epoch, root, size, checkpoint]))
        state["epochs"], state["closed"] = epoch, last
        state["closed_at" if last else "pending"] = self.timestamp if last else self.number + 2
        self.mine()

    def write_run(self, run: bytes) -> None:
        """Put a run's words into storage."""
        state = self.runs[run]
        words = (
            int.from_bytes(state["accumulator"], "big"),
            packed((state["sequencer"], 20), (state["pending"], 8), (state["epochs"], 4)),
            packed((state["deadline"], 8), (state["closed_at"], 8), (state["missed"], 4), (state["closed"], 1)),
            packed(*((stake, 16) for stake in state["stakes"])),
        )
        for place, word in enumerate(words):
            self.storage["ledger"][mapped("bytes32", run, 0, place)] = word

    # ParticipantRegistry

    def enrolment_slot(self, run: bytes, role: str, slot: int, epoch: int, participant: str) -> int:
        place = [run, ("worker", "auditor").index(role), slot, epoch, participant]
        return mapped("bytes32", keccak(abi(["bytes32", "uint256", "uint256", "uint256", "address"], place)), 0)

    def enrol(self, join: Any, number: int) -> EnrolmentFact:
        kinds = ["address", "address", "uint256", "bytes32", "uint256", "bytes32", "uint256"]
        block = self.block_hash(number)
        values = [join.participant, join.session, join.until, join.evidence, number, block, self.timestamp]
        entry = int.from_bytes(keccak(abi(kinds, values)), "big")
        place = (join.run, join.role, join.worker, join.key_epoch, join.participant)
        self.storage["registry"][self.enrolment_slot(*place)] = entry
        fact = EnrolmentFact(join.role, Worker(join.worker), KeyEpoch(join.key_epoch), number, block, self.timestamp)
        self.mine()
        return fact

    # StakeVault

    def stake(self, account: str, stake: int, *, slashed: int = 0, pending: int = 0, holds: int = 1) -> None:
        self.storage["vault"][mapped("address", account, 0)] = packed((stake, 16), (slashed, 16))
        self.storage["vault"][mapped("address", account, 0, 1)] = packed((pending, 16), (0, 8), (holds, 4))

    # Cases

    def case_slot(self, run: bytes, place: tuple[int, int, int], accused: str) -> int:
        kinds = ["bytes32", "uint256", "uint256", "uint256", "address"]
        return mapped("bytes32", keccak(abi(kinds, [run, *place, accused])), 0)

    def case(self, run: bytes, place: tuple[int, int, int], accused: str, status: int) -> CaseFact:
        word = packed((int(accused, 16), 20), (self.timestamp + 60, 8), (status, 1), (3, 1))
        self.storage["cases"][self.case_slot(run, place, accused)] = word
        return CaseFact(Round(place[0]), Worker(place[1]), place[2])

    # Settlement

    def pay(self, run: bytes, root: bytes, funded: int, total: int, claimed: int) -> None:
        words = (int.from_bytes(root, "big"), packed((funded, 16), (total, 16)), packed((claimed, 16)))
        for place, word in enumerate(words):
            self.storage["settlement"][mapped("bytes32", run, 0, place)] = word

    # Facts

    def facts(self, enrolments: tuple[EnrolmentFact, ...] = (), cases: tuple[CaseFact, ...] = ()) -> ChainFacts:
        """Every slot that was ever written, proved in one block's state, also where zero was written."""
        stores = {name: storage_trie(slots) for name, slots in self.storage.items()}
        at = {name: bytes.fromhex(address[2:]) for name, address in self.addresses.items()}
        accounts = {at[name]: (1, 0, bytes(stores[name].root), self.code[name]) for name in SOURCES}
        # Other accounts of the chain, so that the state is more than the contracts.
        accounts |= {keccak(bytes([i]))[12:]: (i, 10**18, keccak(rlp.encode(b"")), keccak(b"")) for i in range(40)}
        state = state_trie(accounts)
        proofs = {
            self.addresses[name]: AccountProof(
                state.proof(at[name]),
                {slot: stores[name].proof(slot) for slot in (item.to_bytes(32, "big") for item in slots)},
            )
            for name, slots in self.storage.items()
        }
        head = header(self.number, self.timestamp, bytes(state.root))
        return ChainFacts(self.chain_id, self.addresses, head, proofs, enrolments, cases)


def payout_root(chain_id: int, run: bytes, amounts: Mapping[Address, int]) -> bytes:
    """Root of OpenZeppelin's tree over what accounts are owed, sorted by account."""
    kinds = ["uint256", "bytes32", "address", "uint256"]
    level = [keccak(keccak(abi(kinds, [chain_id, run, account, amounts[account]]))) for account in sorted(amounts)]
    while len(level) > 1:
        pairs = [sorted(level[at : at + 2]) for at in range(0, len(level), 2)]
        level = [keccak(b"".join(pair)) if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0] if level else bytes(32)
