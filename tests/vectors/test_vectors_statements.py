from __future__ import annotations

import json
from pathlib import Path

import pytest

from attestrain.record.canonical import canonical, parse
from attestrain.record.digest import sha256
from attestrain.record.eip712 import keccak256
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Signed
from attestrain.record.transcript import Log
from attestrain.rules.admission import Inadmissible, admit
from attestrain.rules.ledger import Ledger
from tests.vectors.make_statements import TARGET, derived, make

STORED = json.loads(TARGET.read_text())
PAGES = Path(__file__).parents[2] / "spec"
ENTRIES = [entry.encode() for entry in STORED["transcript"]["entries"]]
DOMAIN = "206fa6c9fc4bd4f1b25a9bbff9c84ee952d3cd7ef2744aff30a6b2b4f8e68056"


def ledger_of(entries: list[bytes]) -> Ledger:
    ledger = Ledger(RunSpec.from_bytes(STORED["spec"].encode()))
    for entry in entries:
        signed = Signed.from_bytes(entry)
        admit(ledger, signed)
        ledger.file(signed)
    return ledger


LEDGERS: dict[int, Ledger] = {}


def ledger_after(count: int) -> Ledger:
    if count not in LEDGERS:
        LEDGERS[count] = ledger_of(ENTRIES[:count])
    return LEDGERS[count]


def test_our_code_still_makes_the_stored_vectors():
    assert json.loads(json.dumps(make())) == STORED


def test_the_stored_transcript_is_admitted_and_has_its_root_and_consequences():
    ledger = ledger_after(len(ENTRIES))
    assert Log(ENTRIES).root().hex() == STORED["transcript"]["root"]
    assert json.loads(json.dumps(derived(ledger))) == {
        key: STORED["transcript"][key] for key in ("candidates", "absences", "faults")
    }


@pytest.mark.parametrize("case", STORED["refused"], ids=lambda case: case["why"])
def test_what_may_not_stand_is_refused_with_its_claim(case):
    with pytest.raises(Inadmissible) as caught:
        admit(ledger_after(case["after"]), Signed.from_bytes(case["entry"].encode()))
    assert caught.value.claim == case["claim"]


@pytest.mark.parametrize("stored", STORED["statements"], ids=lambda stored: stored["format"])
def test_a_digest_follows_from_the_written_type_alone(stored):
    words = [keccak256(stored["type"].encode())]
    document = json.loads(stored["entry"])
    for member in stored["type"].split("(")[1].rstrip(")").split(","):
        kind, name = member.split(" ")
        value = document[name]
        if kind == "string":
            words.append(keccak256(value.encode()))
        elif kind.startswith("uint"):
            words.append(value.to_bytes(32, "big"))
        else:
            words.append(bytes.fromhex(value.removeprefix("0x")).rjust(32, b"\0"))
    assert keccak256(b"\x19\x01" + bytes.fromhex(DOMAIN) + keccak256(b"".join(words))).hex() == stored["digest"]
    assert Signed.from_bytes(stored["entry"].encode()).signer() == stored["signer"]


def test_the_statements_page_shows_stored_statements_verbatim():
    page = (PAGES / "statements.md").read_text()
    receipt = next(item for item in STORED["statements"] if item["format"] == "attestrain.dev/receipt@v1")
    assert f"```json\n{receipt['entry']}\n```" in page
    assert all(item["type"] in page and f"`{item['format']}`" in page for item in STORED["statements"])
    assert receipt["digest"] in page


def test_the_run_spec_page_shows_the_stored_spec_verbatim():
    page = (PAGES / "run-spec.md").read_text()
    assert f"```json\n{STORED['spec']}\n```" in page
    assert STORED["run"] in page
    assert sha256(RunSpec.from_bytes(STORED["spec"].encode()).to_bytes()).hex() == STORED["run"]


def test_the_environment_page_shows_a_canonical_document_and_its_digest():
    page = (PAGES / "environment.md").read_text()
    document = next(line for line in page.splitlines() if line.startswith('{"capability')).encode()
    assert canonical(parse(document)) == document
    assert json.loads(document)["format"] == "attestrain.dev/environment@v1"
    assert sha256(document).hex() in page
