from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

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
DOMAIN = "206fa6c9fc4bd4f1b25a9bbff9c84ee952d3cd7ef2744aff30a6b2b4f8e68056"
REFUSED = [(mode, case) for mode, run in STORED["runs"].items() for case in run["refused"]]


def entries_of(mode: str) -> list[bytes]:
    return [entry.encode() for entry in STORED["runs"][mode]["transcript"]["entries"]]


@functools.cache
def ledger_after(mode: str, count: int) -> Ledger:
    ledger = Ledger(RunSpec.from_bytes(STORED["runs"][mode]["spec"].encode()))
    for entry in entries_of(mode)[:count]:
        signed = Signed.from_bytes(entry)
        admit(ledger, signed)
        ledger.file(signed)
    return ledger


def test_our_code_still_makes_the_stored_vectors():
    assert json.loads(json.dumps(make())) == STORED


@pytest.mark.parametrize("mode", STORED["runs"])
def test_a_stored_transcript_is_admitted_and_has_its_root_and_consequences(mode: str):
    entries, transcript = entries_of(mode), STORED["runs"][mode]["transcript"]
    consequences = {"entries": transcript["entries"], "root": Log(entries).root().hex()}
    assert json.loads(json.dumps(consequences | derived(ledger_after(mode, len(entries))))) == transcript


def test_every_beacon_rests_on_the_root_of_the_log_before_it():
    entries = entries_of("chain")
    for index, entry in enumerate(map(json.loads, entries)):
        if entry["format"] == "attestrain.dev/beacon@v1" and entry["epoch"]:
            assert entry["size"] <= index
            assert entry["root"] == Log(entries[: entry["size"]]).root().hex()


@pytest.mark.parametrize(("mode", "case"), REFUSED, ids=[f"{mode}: {case['why']}" for mode, case in REFUSED])
def test_what_may_not_stand_is_refused_with_its_claim(mode: str, case: dict[str, Any]):
    with pytest.raises(Inadmissible) as caught:
        admit(ledger_after(mode, case["after"]), Signed.from_bytes(case["entry"].encode()))
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


def test_the_statements_page_counts_the_vectors():
    page = (PAGES / "statements.md").read_text()
    recorded, chain, delayed = (len(run["refused"]) for run in STORED["runs"].values())
    assert f"{recorded}, {chain} and {delayed} entries that MUST be refused" in page


def test_the_run_spec_page_shows_the_stored_spec_verbatim():
    page, stored = (PAGES / "run-spec.md").read_text(), STORED["runs"]["chain"]
    assert f"```json\n{stored['spec']}\n```" in page
    assert stored["run"] in page
    for run in STORED["runs"].values():
        assert sha256(RunSpec.from_bytes(run["spec"].encode()).to_bytes()).hex() == run["run"]


def test_the_environment_page_shows_a_canonical_document_and_its_digest():
    page = (PAGES / "environment.md").read_text()
    document = next(line for line in page.splitlines() if line.startswith('{"capability')).encode()
    assert canonical(parse(document)) == document
    assert json.loads(document)["format"] == "attestrain.dev/environment@v1"
    assert sha256(document).hex() in page
