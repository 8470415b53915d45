from __future__ import annotations

import pytest
from eth_abi.abi import encode as abi
from eth_utils.crypto import keccak

from attestrain.record.digest import Digest, sha256
from attestrain.record.names import Address, KeyEpoch, Round, RunId, Worker
from attestrain.rules import accumulator
from attestrain.rules.slots import WIRING as OURS
from attestrain.rules.slots import (
    AccountWords,
    CaseWord,
    PayoutWords,
    RunWords,
    account_slots,
    case_slot,
    enrolment_entry,
    enrolment_slot,
    run_slots,
)
from attestrain.verify.chain import code_hashes
from tests.contracts import SOURCES, WIRING, Contracts, artefact, code_hash, mapped, packed

RUN = RunId(sha256(b"run"))
ACCOUNT, SESSION = Address("0x" + "ab" * 20), Address("0x" + "cd" * 20)


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def test_slots_are_where_solidity_puts_them() -> None:
    there = Contracts()
    assert run_slots(RUN) == tuple(word(mapped("bytes32", RUN, 0, place)) for place in range(4))
    assert account_slots(ACCOUNT) == tuple(word(mapped("address", ACCOUNT, 0, place)) for place in range(2))
    for role in ("worker", "auditor"):
        ours = enrolment_slot(RUN, role, Worker(3), KeyEpoch(2), ACCOUNT)
        assert ours == word(there.enrolment_slot(RUN, role, 3, 2, ACCOUNT))
    assert case_slot(RUN, Round(1), Worker(2), 3, ACCOUNT) == word(there.case_slot(RUN, (1, 2, 3), ACCOUNT))


@pytest.mark.parametrize(
    ("contract", "variable"),
    [("ledger", "runs"), ("vault", "accounts"), ("registry", "entries"), ("cases", "cases"), ("settlement", "payouts")],
)
def test_the_compiler_put_what_is_read_into_slot_0(contract: str, variable: str) -> None:
    layout = {item["label"]: item for item in artefact(contract)["storage"]}
    assert (layout[variable]["slot"], layout[variable]["offset"]) == ("0", 0)


def test_the_wiring_is_read_where_the_compiler_put_it() -> None:
    assert {name: {slot: other for other, slot in places.items()} for name, places in OURS.items()} == WIRING
    for contract, places in WIRING.items():
        layout = {item["label"]: item for item in artefact(contract)["storage"]}
        for slot, other in places.items():
            assert (layout[other]["slot"], layout[other]["offset"]) == (str(slot), 0)


def test_the_hashes_of_the_code_are_those_of_the_code() -> None:
    assert code_hashes() == {name: code_hash(name) for name in SOURCES}


def test_an_enrolments_entry_is_that_of_abi_encoding() -> None:
    kinds = ["address", "address", "uint256", "bytes32", "uint256", "bytes32", "uint256"]
    values = (ACCOUNT, SESSION, 7, sha256(b"evidence"), 12, sha256(b"block"), 1_800_000_000)
    assert enrolment_entry(*values) == keccak(abi(kinds, values))


def test_the_accumulator_is_that_of_abi_encoding() -> None:
    there = Contracts()
    there.open(RUN, ACCOUNT, 1, 1)
    word_ = accumulator.opened(RUN, ACCOUNT)
    assert word_ == there.runs[RUN]["accumulator"]
    word_ = accumulator.captured(word_, *there.capture(RUN))
    assert word_ == there.runs[RUN]["accumulator"]
    root, checkpoint = sha256(b"root"), sha256(b"checkpoint")
    there.anchor(RUN, 1, root, 20, checkpoint, last=True)
    assert accumulator.anchored(word_, 1, root, 20, checkpoint) == there.runs[RUN]["accumulator"]


def test_a_run_is_unpacked() -> None:
    words = (
        sha256(b"accumulator"),
        word(packed((int(ACCOUNT, 16), 20), (77, 8), (3, 4))),
        word(packed((10, 8), (20, 8), (1, 4), (1, 1))),
        word(packed((5, 16), (2**128 - 1, 16))),
    )
    assert RunWords.read(words) == RunWords(sha256(b"accumulator"), ACCOUNT, 3, 10, 20, 1, True, 5, 2**128 - 1)


def test_an_account_is_unpacked() -> None:
    words = (word(packed((5, 16), (6, 16))), word(packed((7, 16), (8, 8), (9, 4))))
    assert AccountWords.read(words) == AccountWords(5, 6, 7, 8, 9)


def test_a_case_is_unpacked() -> None:
    assert CaseWord.read(word(packed((int(ACCOUNT, 16), 20), (99, 8), (2, 1), (3, 1)))) == CaseWord(ACCOUNT, 2, 3)


def test_a_payout_is_unpacked() -> None:
    root = Digest(sha256(b"root"))
    assert PayoutWords.read((root, word(packed((9, 16), (8, 16))), word(7))) == PayoutWords(root, 9, 8, 7)
