"""What `inspect` says of documents of a chain, of evidence, and of those with secrets in them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from attestrain.errors import ExitCode
from attestrain.record.canonical import canonical
from attestrain.record.chain import CONTRACTS, AccountProof, CaseFact, ChainFacts, EnrolmentFact
from attestrain.record.digest import sha256
from attestrain.record.keys import SigningKey
from attestrain.record.names import Address, KeyEpoch, Round, RunId, Worker
from attestrain.rules.header import LEAST_FIELDS, NUMBER, STATE_ROOT, TIMESTAMP, read_header
from attestrain.rules.rlp import encode
from attestrain.run.invite import Invite
from attestrain.run.service.auth import Door
from attestrain.settle.deployment import Deployment
from tests.cli.conftest import Call
from tests.unit.evidence_world import honest_world, platform

AT = {name: Address(f"0x{index + 1:040x}") for index, name in enumerate(CONTRACTS)}


def header() -> bytes:
    fields = [b""] * LEAST_FIELDS
    fields[STATE_ROOT], fields[NUMBER], fields[TIMESTAMP] = sha256(b"state"), b"\x07", b"\x09"
    body = b"".join(encode(field) for field in fields)
    return bytes([0xC0 + len(body)]) + body if len(body) < 56 else b"\xf8" + bytes([len(body)]) + body


FACTS = ChainFacts(
    chain_id=31337,
    contracts=AT,
    header=header(),
    accounts={AT["vault"]: AccountProof((b"\x01",), {bytes(32): ()})},
    enrolments=(EnrolmentFact("worker", Worker(3), KeyEpoch(1), 5, sha256(b"block"), 6),),
    cases=(CaseFact(Round(2), Worker(3), 1),),
)


def test_chain_facts(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_bytes(FACTS.to_bytes())
    facts = json.loads(call("inspect", path, "--json").out)
    assert (facts["chain"], facts["block"]["number"]) == (31337, 7)
    assert facts["block"]["hash"] == read_header(FACTS.header).hash.hex()
    assert facts["contracts"] == [{"contract": "vault", "address": AT["vault"], "slots proved": 1}]
    assert (facts["enrolments"][0]["key epoch"], facts["cases"][0]["segment"]) == (1, 1)
    assert "vault" in call("inspect", path).out


def test_evidence_names_its_root_and_what_was_measured(call: Call, tmp_path: Path) -> None:
    path, evidence = tmp_path / "evidence.json", honest_world().evidence
    path.write_bytes(evidence.to_bytes())
    facts = json.loads(call("inspect", path, "--json").out)
    assert facts["digest"] == sha256(evidence.to_bytes()).hex()
    assert [item["event"] for item in facts["events"]] == [event.name for event in evidence.events]
    assert len(facts["report data"]) == 128
    path.write_bytes(replace(evidence, quote=b"quote").to_bytes())
    result = call("inspect", path)
    assert (result.code, result.out) == (ExitCode.USAGE, "")


def test_a_deployment(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "deployment.json"
    path.write_bytes(Deployment(31337, AT).to_bytes())
    facts = json.loads(call("inspect", path, "--json").out)
    assert (facts["chain"], facts["finality"], facts["contracts"]) == (31337, "finalized", AT)


@pytest.mark.parametrize("simulated", [True, False])
def test_an_invitation_keeps_its_secrets(call: Call, tmp_path: Path, simulated: bool) -> None:
    door = Door("http://127.0.0.1:9000", sha256(b"service"))
    invite = Invite(
        door, RunId(sha256(b"run")), "worker", Worker(2), SigningKey.generate(), platform() if simulated else None
    )
    path = tmp_path / "invite.json"
    path.write_bytes(invite.to_bytes())
    printed = call("inspect", path).out + call("inspect", path, "--json").out
    facts = json.loads(call("inspect", path, "--json").out)
    assert (facts["role"], facts["slot"], facts["fingerprint"]) == ("worker", 2, invite.fingerprint)
    assert invite.key.to_bytes().hex() not in printed
    assert "development-platform" not in printed


@pytest.mark.parametrize("name", ["invite", "development-pki", "development-platform"])
def test_whatever_else_such_a_document_holds_stays_in_it(call: Call, tmp_path: Path, name: str) -> None:
    path = tmp_path / "secret.json"
    path.write_bytes(
        canonical({"format": f"attestrain.dev/{name}@v1", "key": "deadbeef", "more": "deadbeef", "url": 1})
    )
    result = call("inspect", path)
    assert result.code == 0
    assert "deadbeef" not in result.out
