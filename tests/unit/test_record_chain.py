from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from attestrain.errors import FormatError
from attestrain.record.chain import (
    CONTRACTS,
    MAX_ACCOUNTS,
    MAX_BYTES,
    MAX_NODES,
    AccountProof,
    CaseFact,
    ChainFacts,
    EnrolmentFact,
)
from attestrain.record.digest import sha256
from attestrain.record.names import Address, KeyEpoch, Round, Worker

ADDRESSES = {name: Address(f"0x{place:040x}") for place, name in enumerate(CONTRACTS, 1)}
FACTS = ChainFacts(
    chain_id=31_337,
    contracts=ADDRESSES,
    header=b"header",
    accounts={
        ADDRESSES["ledger"]: AccountProof((b"root", b"leaf"), {bytes(32): (b"node",), b"s" * 32: ()}),
        ADDRESSES["vault"]: AccountProof((), {}),
    },
    enrolments=(EnrolmentFact("auditor", Worker(1), KeyEpoch(0), 17, sha256(b"block"), 1_800_000_000),),
    cases=(CaseFact(Round(2), Worker(1), 3),),
)

Edit = Callable[[dict[str, Any]], object]


def edited(edit: Edit) -> bytes:
    """The facts after a change to their document, which stays canonical."""
    document = json.loads(FACTS.to_bytes())
    edit(document)
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def test_facts_read_back() -> None:
    assert ChainFacts.from_bytes(FACTS.to_bytes()) == FACTS
    assert edited(lambda document: None) == FACTS.to_bytes()


def test_the_order_of_accounts_and_slots_does_not_show() -> None:
    ledger = FACTS.accounts[ADDRESSES["ledger"]]
    turned = replace(ledger, slots=dict(reversed(ledger.slots.items())))
    accounts = {ADDRESSES["vault"]: FACTS.accounts[ADDRESSES["vault"]], ADDRESSES["ledger"]: turned}
    assert replace(FACTS, accounts=accounts).to_bytes() == FACTS.to_bytes()


def into(*path: str | int, value: object) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return edit


SLOT = {"slot": "0x" + "00" * 32, "proof": []}


@pytest.mark.parametrize(
    "edit",
    [
        lambda document: document.pop("cases"),
        into("more", value=1),
        into("format", value="attestrain.dev/chain@v2"),
        into("chain_id", value=0),
        into("chain_id", value=2**63),
        into("chain_id", value="31337"),
        into("contracts", "vault", value="0x" + "AB" * 20),
        into("contracts", "other", value="0x" + "00" * 20),
        lambda document: document["contracts"].pop("cases"),
        into("header", value="00"),
        into("header", value="0x0"),
        into("header", value="0xAA"),
        into("header", value="0x00\n"),
        into("header", value=None),
        into("header", value="0x" + "00" * (MAX_BYTES + 1)),
        into("accounts", value={}),
        into("accounts", value=[1]),
        lambda document: document["accounts"].append(document["accounts"][0]),
        into("accounts", value=[{"address": f"0x{i:040x}", "proof": [], "slots": []} for i in range(MAX_ACCOUNTS + 1)]),
        into("accounts", 0, "balance", value=1),
        into("accounts", 0, "proof", value=["0x"] * (MAX_NODES + 1)),
        into("accounts", 0, "proof", value=[5]),
        into("accounts", 0, "proof", value=["0x" + "00" * (MAX_BYTES + 1)]),
        into("accounts", 0, "slots", value=[SLOT, SLOT]),
        into("accounts", 0, "slots", 0, "slot", value="0x" + "00" * 31),
        into("accounts", 0, "slots", 0, "proof", value=["0x"] * (MAX_NODES + 1)),
        into("enrolments", 0, "role", value="sequencer"),
        into("enrolments", 0, "worker", value=-1),
        into("enrolments", 0, "worker", value=2**32),
        into("enrolments", 0, "key_epoch", value=2**32),
        into("enrolments", 0, "block_hash", value="00"),
        into("enrolments", 0, "block_number", value=-1),
        into("enrolments", 0, "timestamp", value=1.5),
        into("enrolments", 0, "timestamp", value=True),
        into("cases", 0, "segment", value=-1),
        into("cases", 0, "round", value=2**40),
        into("cases", 0, "worker", value=2**32),
        into("cases", 0, value=[]),
    ],
)
def test_what_is_not_as_the_format_says_is_refused(edit: Edit) -> None:
    with pytest.raises(FormatError):
        ChainFacts.from_bytes(edited(edit))


@pytest.mark.parametrize("data", [b"", b"[]", b"null", FACTS.to_bytes() + b"\n", b" " + FACTS.to_bytes(), b"\xff"])
def test_what_is_not_the_canonical_document_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        ChainFacts.from_bytes(data)


@pytest.mark.parametrize("seed", range(20))
def test_mutated_bytes_are_refused_or_are_the_one_document_of_what_they_say(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(100):
        data = bytearray(FACTS.to_bytes())
        for _ in range(chance.randrange(1, 4)):
            place = chance.randrange(len(data))
            kind = chance.randrange(3)
            if kind == 0:
                data[place] = chance.choice(b'0123456789abcdef"{}[],:x')
            elif kind == 1:
                del data[place]
            else:
                data.insert(place, chance.randrange(256))
        try:
            found = ChainFacts.from_bytes(bytes(data))
        except FormatError:
            continue
        assert ChainFacts.from_bytes(found.to_bytes()) == found
        assert len(found.to_bytes()) == len(data)
