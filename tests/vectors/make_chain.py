"""Writes vectors/chain.json: chain facts of a recorded run, cut down to one contract, and what they prove.

Blocks cannot be made again, so the facts are taken from a bundle once: python -m tests.vectors.make_chain BUNDLE
Everything else is derived from them.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from attestrain.record.bundle import CHAIN
from attestrain.record.chain import ChainFacts
from attestrain.record.eip712 import address_bytes
from attestrain.rules.header import read_header
from attestrain.rules.slots import WIRING, address_in, wiring_slots
from attestrain.rules.trie import read_account, read_slot

TARGET = Path(__file__).parents[2] / "vectors" / "chain.json"
CONTRACT = "settlement"


def cut(facts: ChainFacts) -> ChainFacts:
    """One contract, its wiring, one enrolment."""
    at = facts.contracts[CONTRACT]
    account = facts.accounts[at]
    slots = {slot: account.slots[slot] for slot in wiring_slots(CONTRACT)}
    return replace(facts, accounts={at: replace(account, slots=slots)}, enrolments=facts.enrolments[:1])


def make(facts: ChainFacts) -> dict[str, Any]:
    """The vectors."""
    header, at = read_header(facts.header), facts.contracts[CONTRACT]
    account = read_account(header.state_root, address_bytes(at), facts.accounts[at].proof)
    assert account is not None
    values = {slot: read_slot(account.storage_root, slot, nodes) for slot, nodes in facts.accounts[at].slots.items()}
    return {
        "facts": facts.to_bytes().decode(),
        "block": {"number": header.number, "hash": header.hash.hex(), "timestamp": header.timestamp},
        "state_root": header.state_root.hex(),
        "account": {"storage_root": account.storage_root.hex(), "code_hash": account.code_hash.hex()},
        "slots": {slot.hex(): value.hex() for slot, value in values.items()},
        "wiring": dict(zip(WIRING[CONTRACT], map(address_in, values.values()), strict=True)),
    }


def read() -> dict[str, Any]:
    """The vectors as they are on disk."""
    document: dict[str, Any] = json.loads(TARGET.read_text())
    return document


if __name__ == "__main__":
    recorded = ChainFacts.from_bytes((Path(sys.argv[1]) / CHAIN).read_bytes())
    TARGET.write_text(json.dumps(make(cut(recorded)), indent=1, sort_keys=True) + "\n")
