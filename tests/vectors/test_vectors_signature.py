from __future__ import annotations

import json
from pathlib import Path

import pytest

from attestrain.errors import FormatError
from attestrain.record.eip712 import keccak256, signing_digest
from attestrain.record.keys import parse_signature, recover
from tests.vectors.make_signature import CASES, TARGET, make

STORED = json.loads(TARGET.read_text())


def test_our_code_still_makes_the_stored_vectors():
    assert make() == STORED


def test_stored_signatures_recover_to_their_addresses():
    for case, stored in zip(CASES, STORED["structures"], strict=True):
        for entry in stored["signatures"]:
            assert recover(signing_digest(*case), parse_signature(entry["signature"])) == entry["address"]


def test_a_digest_follows_from_the_written_layout_alone():
    stored = STORED["structures"][0]
    structure = keccak256(keccak256(stored["type"].encode()) + keccak256(stored["values"]["text"].encode()))
    assert keccak256(b"\x19\x01" + bytes.fromhex(STORED["domain"]) + structure).hex() == stored["digest"]


@pytest.mark.parametrize("case", STORED["refused"], ids=lambda case: case["why"])
def test_stored_malformed_signatures_are_refused(case):
    with pytest.raises(FormatError):
        recover(signing_digest(*CASES[0]), bytes.fromhex(case["signature"][2:]))


def test_the_specification_shows_a_stored_structure_verbatim():
    text = (Path(__file__).parents[2] / "spec/signature.md").read_text()
    stored = STORED["structures"][1]
    for shown in (stored["type"], stored["digest"], stored["struct_hash"], stored["signatures"][0]["signature"]):
        assert shown in text
    assert STORED["domain"] in text
