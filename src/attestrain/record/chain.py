"""Chain facts: what a bundle brings along of the chain, for a verdict without one (spec/chain.md).

A block's header, the accounts of the contracts in the state that it commits to, and storage slots of theirs, each with
its Merkle-Patricia proof. Nothing here is believed: the header is held against a pinned block, everything else against
the header.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from attestrain.errors import FormatError
from attestrain.record.canonical import MAX_INTEGER, Json, canonical, parse
from attestrain.record.digest import Digest
from attestrain.record.fields import Fields
from attestrain.record.keys import parse_address
from attestrain.record.names import Address, KeyEpoch, Round, Worker
from attestrain.record.spec import MAX_ROUNDS

FORMAT = "attestrain.dev/chain@v1"
MAX_ACCOUNTS = 16
"""Most accounts proved: there are five contracts."""
MAX_SLOTS = 65_536
"""Most storage slots proved of one contract: three for each participant and one for each key epoch and case."""
MAX_NODES = 65
"""Most nodes of one proof, as `rules.trie` reads it."""
MAX_BYTES = 4096
"""Longest byte string: a header or a node, both below a kilobyte."""
MAX_ENROLMENTS = 65_536
"""Most key epochs, as many as slots."""
CONTRACTS = ("ledger", "vault", "registry", "cases", "settlement")
"""The contracts, by what the rest of the package calls them."""
_HEX = re.compile(r"0x([0-9a-f]{2})*\Z")

Nodes = tuple[bytes, ...]
"""A Merkle-Patricia proof, from the root down."""


@dataclass(frozen=True, slots=True)
class AccountProof:
    """A contract's account in the state, and slots of its storage by their 32 bytes."""

    proof: Nodes
    slots: Mapping[bytes, Nodes]


@dataclass(frozen=True, slots=True)
class EnrolmentFact:
    """The block that an enrolment names, and when the chain took it (seconds since 1970): the registry hashes them."""

    role: str
    worker: Worker
    key_epoch: KeyEpoch
    block_number: int
    block_hash: Digest
    timestamp: int


@dataclass(frozen=True, slots=True)
class CaseFact:
    """A segment about which the facts prove how its case stands, or that there is none."""

    round: Round
    worker: Worker
    segment: int


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """Everything of the chain that a bundle brings along.

    Attributes:
        chain_id: of the chain (EIP-155).
        contracts: their addresses, by the names of `CONTRACTS`.
        header: RLP of the block's header.
        accounts: proofs by address.
        enrolments: one for each key epoch in the transcript.
        cases: of which segments the cases, or that there are none, are proved.
    """

    chain_id: int
    contracts: Mapping[str, Address]
    header: bytes
    accounts: Mapping[Address, AccountProof]
    enrolments: tuple[EnrolmentFact, ...]
    cases: tuple[CaseFact, ...]

    def to_bytes(self) -> bytes:
        """Canonical document."""
        return canonical(
            {
                "format": FORMAT,
                "chain_id": self.chain_id,
                "contracts": {name: self.contracts[name] for name in CONTRACTS},
                "header": _hex(self.header),
                "accounts": [
                    {
                        "address": address,
                        "proof": _hexes(self.accounts[address].proof),
                        "slots": [
                            {"slot": _hex(slot), "proof": _hexes(nodes)}
                            for slot, nodes in sorted(self.accounts[address].slots.items())
                        ],
                    }
                    for address in sorted(self.accounts)
                ],
                "enrolments": [_enrolment_json(item) for item in self.enrolments],
                "cases": [{"round": item.round, "worker": item.worker, "segment": item.segment} for item in self.cases],
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> ChainFacts:
        """Read the document strictly.

        Raises:
            FormatError: malformed or out of bounds.
        """
        keys = ("format", "chain_id", "contracts", "header", "accounts", "enrolments", "cases")
        fields = Fields(parse(data), keys, "chain")
        fields.constant("format", FORMAT)
        contracts = Fields(fields.object("contracts"), CONTRACTS, "chain.contracts")
        accounts = [_read_account(item) for item in fields.array("accounts", max_length=MAX_ACCOUNTS)]
        _require_ascending([address for address, _ in accounts], "chain.accounts")
        enrolments = tuple(map(_read_enrolment, fields.array("enrolments", max_length=MAX_ENROLMENTS)))
        cases = tuple(map(_read_case, fields.array("cases", max_length=MAX_ENROLMENTS)))
        named = {(item.role, item.worker, item.key_epoch) for item in enrolments}
        if len(named) != len(enrolments) or len(set(cases)) != len(cases):
            raise FormatError("chain has an enrolment or a case twice")
        return cls(
            chain_id=fields.integer("chain_id", 1, MAX_INTEGER),
            contracts={name: parse_address(contracts.text(name)) for name in CONTRACTS},
            header=_bytes(fields.text("header", max_length=2 + 2 * MAX_BYTES)),
            accounts=dict(accounts),
            enrolments=enrolments,
            cases=cases,
        )


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _hexes(nodes: Nodes) -> list[str]:
    return [_hex(node) for node in nodes]


def _bytes(value: object) -> bytes:
    if not isinstance(value, str) or len(value) > 2 + 2 * MAX_BYTES or not _HEX.match(value):
        raise FormatError(f"not 0x and lower-case hexadecimal bytes: {str(value)[:40]!r}")
    return bytes.fromhex(value[2:])


def _read_nodes(value: list[Any]) -> Nodes:
    return tuple(map(_bytes, value))


def _require_ascending(keys: list[Any], where: str) -> None:
    """One value, one spelling."""
    if any(one >= other for one, other in pairwise(keys)):
        raise FormatError(f"{where} is not ascending, or has something twice")


def _read_account(value: object) -> tuple[Address, AccountProof]:
    fields = Fields(value, ("address", "proof", "slots"), "chain.account")
    slots = [_read_slot(item) for item in fields.array("slots", max_length=MAX_SLOTS)]
    _require_ascending([slot for slot, _ in slots], "chain.account.slots")
    proof = _read_nodes(fields.array("proof", max_length=MAX_NODES))
    return parse_address(fields.text("address")), AccountProof(proof, dict(slots))


def _read_slot(value: object) -> tuple[bytes, Nodes]:
    fields = Fields(value, ("slot", "proof"), "chain.slot")
    slot = _bytes(fields.text("slot"))
    if len(slot) != 32:
        raise FormatError("chain.slot is not of 32 bytes")
    return slot, _read_nodes(fields.array("proof", max_length=MAX_NODES))


def _enrolment_json(item: EnrolmentFact) -> Json:
    return {
        "role": item.role,
        "worker": item.worker,
        "key_epoch": item.key_epoch,
        "block_number": item.block_number,
        "block_hash": item.block_hash.hex(),
        "timestamp": item.timestamp,
    }


def _read_enrolment(value: object) -> EnrolmentFact:
    keys = ("role", "worker", "key_epoch", "block_number", "block_hash", "timestamp")
    fields = Fields(value, keys, "chain.enrolment")
    return EnrolmentFact(
        role=fields.choice("role", ("worker", "auditor")),
        worker=Worker(fields.integer("worker", 0, 2**32 - 1)),
        key_epoch=KeyEpoch(fields.integer("key_epoch", 0, 2**32 - 1)),
        block_number=fields.integer("block_number", 0, MAX_INTEGER),
        block_hash=fields.digest("block_hash"),
        timestamp=fields.integer("timestamp", 0, MAX_INTEGER),
    )


def _read_case(value: object) -> CaseFact:
    fields = Fields(value, ("round", "worker", "segment"), "chain.case")
    round_, worker = fields.integer("round", 0, MAX_ROUNDS), fields.integer("worker", 0, 2**32 - 1)
    return CaseFact(Round(round_), Worker(worker), fields.integer("segment", 0, MAX_INTEGER))
