"""The artefacts that ship are those of the sources next to them, and keep what proofs read where proofs look for it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from attestrain.record.eip712 import keccak256
from attestrain.rules.slots import WIRING
from attestrain.settle.artefacts import error_names, load
from attestrain.settle.deployment import Deployment
from attestrain.verify.chain import SOURCES, code_hashes

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "src/attestrain/data/contracts"
BUILD: dict[str, Any] = json.loads((SHIPPED / "build.json").read_text("ascii"))
NAMES = sorted(SOURCES.values())
PUSH1, PUSH32 = 0x60, 0x7F


def artefact(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((SHIPPED / f"{name}.json").read_text("ascii"))
    return document


def test_sources_hash_to_what_the_build_says():
    said = {name: digest for name, digest in BUILD["sources"].items() if name.startswith("src/")}
    found = {
        f"src/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (ROOT / "contracts/src").glob("*.sol")
    }
    assert found == said, "run `make contracts`"


def test_artefacts_hash_to_what_the_build_says():
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in SHIPPED.glob("*.json")
        if path.name != "build.json"
    }
    assert found == BUILD["artefacts"]
    assert sorted(found) == [f"{name}.json" for name in NAMES]


def test_the_build_is_the_pinned_one():
    pinned = json.loads((ROOT / "contracts/package.json").read_text("ascii"))["dependencies"]
    assert BUILD["compiler"].startswith(f"{pinned['solc']}+commit.")
    assert BUILD["settings"]["metadata"] == {"appendCBOR": False, "bytecodeHash": "none"}
    assert BUILD["settings"]["evmVersion"] == "cancun"


@pytest.mark.parametrize("name", NAMES)
def test_code_hashes_are_of_the_runtime_code_that_creation_leaves(name: str):
    held = artefact(name)
    runtime = bytes.fromhex(held["runtime"][2:])
    assert keccak256(runtime).hex() == held["code_hash"]
    assert bytes.fromhex(held["bytecode"][2:]).endswith(runtime)
    assert code_hashes()[next(key for key, value in SOURCES.items() if value == name)].hex() == held["code_hash"]


@pytest.mark.parametrize("name", NAMES)
def test_no_contract_can_hand_its_storage_or_itself_to_others(name: str):
    runtime, place, used = bytes.fromhex(artefact(name)["runtime"][2:]), 0, set()
    while place < len(runtime):
        code = runtime[place]
        used.add(code)
        place += code - PUSH1 + 2 if PUSH1 <= code <= PUSH32 else 1
    assert not used & {0xF2, 0xF4, 0xFF}, "CALLCODE, DELEGATECALL or SELFDESTRUCT"


def struct(name: str, mapping: str) -> dict[str, tuple[int, int, str]]:
    """Members of a mapping's values: word, byte and type, by label."""
    found: dict[str, tuple[int, int, str]] = {
        item["label"]: (item["slot"], item["offset"], item["type"]) for item in artefact(name)["members"][mapping]
    }
    return found


@pytest.mark.parametrize(
    ("name", "mapping"),
    [
        ("RunLedger", "runs"),
        ("StakeVault", "accounts"),
        ("ParticipantRegistry", "entries"),
        ("Cases", "cases"),
        ("Settlement", "payouts"),
    ],
)
def test_the_mapping_that_proofs_read_is_declared_first(name: str, mapping: str):
    first = artefact(name)["storage"][0]
    assert (first["label"], first["slot"], first["offset"]) == (mapping, "0", 0)


def test_contracts_keep_where_the_others_are_where_proofs_look():
    for name, others in WIRING.items():
        held = {item["label"]: item for item in artefact(SOURCES[name])["storage"]}
        assert {other: (held[other]["slot"], held[other]["offset"]) for other in others} == {
            other: (str(place), 0) for other, place in others.items()
        }


def test_words_are_packed_as_the_slots_of_the_rules_are_read():
    assert struct("RunLedger", "runs") == {
        "accumulator": (0, 0, "bytes32"),
        "sequencer": (1, 0, "address"),
        "pendingHeight": (1, 20, "uint64"),
        "epochs": (1, 28, "uint32"),
        "deadline": (2, 0, "uint64"),
        "closedAt": (2, 8, "uint64"),
        "missed": (2, 16, "uint32"),
        "closed": (2, 20, "bool"),
        "workerStake": (3, 0, "uint128"),
        "auditorStake": (3, 16, "uint128"),
    }
    assert struct("StakeVault", "accounts") == {
        "stake": (0, 0, "uint128"),
        "slashed": (0, 16, "uint128"),
        "pending": (1, 0, "uint128"),
        "readyAt": (1, 16, "uint64"),
        "holds": (1, 24, "uint32"),
    }
    case = struct("Cases", "cases")
    assert {label: case[label] for label in ("accused", "commitBy", "status", "committee")} == {
        "accused": (0, 0, "address"),
        "commitBy": (0, 20, "uint64"),
        "status": (0, 28, "uint8"),
        "committee": (0, 29, "uint8"),
    }
    assert struct("Settlement", "payouts") == {
        "root": (0, 0, "bytes32"),
        "funded": (1, 0, "uint128"),
        "total": (1, 16, "uint128"),
        "claimed": (2, 0, "uint128"),
    }


def test_the_specifications_example_is_a_deployment():
    page = (ROOT / "spec/contracts.md").read_text("utf-8")
    example = page.split("```json\n")[1].split("\n```")[0].encode()
    assert Deployment.from_bytes(example).to_bytes() == example


def test_the_specification_names_the_slots_of_the_rules():
    page = (ROOT / "spec/contracts.md").read_text("utf-8")
    for name, others in WIRING.items():
        assert f"| {SOURCES[name]} | {', '.join(f'{place} {other}' for other, place in others.items())} |" in page


def test_every_error_of_the_contracts_has_one_name():
    assert {"NotNamed", "StakeTooSmall", "CaseExists", "BadProof"} <= set(error_names().values())


def test_the_interface_is_known_by_signature():
    selector, types, results = load("settlement").function("claim")
    assert (types, results) == (("bytes32", "address", "uint128", "bytes32[]"), ())
    assert selector == keccak256(b"claim(bytes32,address,uint128,bytes32[])")[:4]


@pytest.mark.slow
def test_a_rebuild_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch):
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("npm or node is not installed")
    from tools import contracts

    monkeypatch.setattr(sys, "argv", ["contracts.py", "check"])
    assert contracts.main() == 0
