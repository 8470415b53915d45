from __future__ import annotations

from pathlib import Path

import pytest

from attestrain.errors import FormatError
from attestrain.record.chain import ChainFacts
from attestrain.record.digest import ZERO_DIGEST, Digest
from attestrain.rules.trie import read_slot
from attestrain.verify.chain import code_hashes
from tests.vectors.make_chain import CONTRACT, make, read

SPEC = Path(__file__).parents[2] / "spec"
FACTS = ChainFacts.from_bytes(read()["facts"].encode())


def test_the_vectors_are_derived_again() -> None:
    assert make(FACTS) == read()


def test_the_contract_is_the_one_that_ships_and_knows_the_ledger() -> None:
    vectors = read()
    assert vectors["account"]["code_hash"] == code_hashes()[CONTRACT].hex()
    assert vectors["wiring"] == {"ledger": FACTS.contracts["ledger"]}


def test_a_slot_under_another_root_is_refused() -> None:
    ((slot, nodes),) = FACTS.accounts[FACTS.contracts[CONTRACT]].slots.items()
    root = Digest(bytes.fromhex(read()["account"]["storage_root"]))
    assert any(read_slot(root, slot, nodes))
    with pytest.raises(FormatError):
        read_slot(ZERO_DIGEST, slot, nodes)


def test_the_page_shows_the_vector_verbatim() -> None:
    assert read()["facts"] in (SPEC / "chain.md").read_text()
