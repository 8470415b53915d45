from __future__ import annotations

import json
from pathlib import Path

import pytest

from attestrain.record.keys import SigningKey
from attestrain.store.keystore import save_key
from attestrain.store.log import DurableLog
from tests.attacks.world import honest_world
from tests.cli.conftest import Call, Honest

FORMATS = {
    "manifest.json": "attestrain.dev/bundle@v1",
    "spec.json": "attestrain.dev/run-spec@v2",
    "dataset/manifest.json": "attestrain.dev/dataset@v1",
    "traces/000000/0001.json": "attestrain.dev/trace@v1",
    "updates/000000/0001.bin": "attestrain.dev/update@v1",
    "transcript/checkpoint": "c2sp.org/tlog-checkpoint",
    "model/model.safetensors": "safetensors",
}


@pytest.mark.parametrize("path", FORMATS)
def test_every_artefact_of_a_bundle(call: Call, honest: Honest, path: str) -> None:
    result = call("inspect", honest.bundle / path, "--json")
    assert (result.code, result.err) == (0, "")
    facts = json.loads(result.out)
    assert facts["format"] == FORMATS[path]
    assert "run" not in facts or facts["run"] == json.loads((honest.bundle / "manifest.json").read_text())["run"]
    text = call("inspect", honest.bundle / path)
    assert text.code == 0
    assert text.out.startswith("format")


def test_an_update_tells_its_slot_its_bits_and_its_norm(call: Call, honest: Honest, tmp_path: Path) -> None:
    path = honest.bundle / "updates/000002/0001.bin"
    facts = json.loads(call("inspect", path, "--json").out)
    assert (facts["round"], facts["worker"], facts["codec"]) == (2, 1, "ternary")
    assert facts["bits per parameter"] == f"{8 * path.stat().st_size / facts['parameters']:.3f}"
    assert float(facts["norm"]) > 0
    alone = tmp_path / "update.bin"
    alone.write_bytes(path.read_bytes())
    assert json.loads(call("inspect", alone, "--json").out)["norm"].startswith("not known")


def test_a_statement_names_its_signer(call: Call, honest: Honest, tmp_path: Path) -> None:
    (entries,) = (honest.bundle / "transcript/tile/entries").rglob("*/*")
    listed = json.loads(call("inspect", entries, "--json").out)["entries"]
    assert listed[0]["statement"] == "attestrain.dev/log-open@v1"
    data = entries.read_bytes()
    statement = tmp_path / "statement.json"
    statement.write_bytes(data[2 : 2 + int.from_bytes(data[:2], "big")])
    facts = json.loads(call("inspect", statement, "--json").out)
    assert facts["signer"] == facts["sequencer"]
    with DurableLog(tmp_path / "log") as log:
        log.append(statement.read_bytes())
    facts = json.loads(call("inspect", tmp_path / "log/entries.log", "--json").out)
    assert facts["kinds"] == {"attestrain.dev/log-open@v1": 1}


def test_key_files_keep_their_secret(call: Call, tmp_path: Path) -> None:
    key = SigningKey.generate()
    save_key(tmp_path / "key.json", key, "a passphrase", light=True)
    ciphertext = json.loads((tmp_path / "key.json").read_text())["crypto"]["ciphertext"]
    result = call("inspect", tmp_path / "key.json")
    assert result.code == 0
    assert key.address.removeprefix("0x") in result.out
    assert ciphertext not in result.out


def test_folders(call: Call, honest: Honest, tmp_path: Path) -> None:
    bundle = json.loads(call("inspect", honest.bundle, "--json").out)
    assert bundle["files"] == len(honest_world()[0]) - 1
    events = [
        {"time": 1.0, "kind": "start", "run": "ab" * 32, "name": "t", "rounds": 2, "steps": 3, "workers": 2},
        {"time": 2.0, "kind": "evaluated", "round": 0, "loss": 3.5},
    ]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    run = json.loads(call("inspect", tmp_path, "--json").out)
    assert (run["rounds"], run["validation loss"], len(run["workers"])) == ("1 of 2", "3.5000", 2)
    assert run["resume"] == f"attestrain train --resume {tmp_path}"
    assert json.loads(call("inspect", tmp_path / "events.jsonl", "--json").out)["events"] == 2


def test_policy(call: Call, honest: Honest) -> None:
    facts = json.loads(call("inspect", honest.policy, "--json").out)
    assert facts["format"] == "attestrain.dev/policy@v1"


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00" * 40, b"hello world", b"{}", b'{"a": [[[', b"{" * 100_000, b'{"format":"attestrain.dev/receipt@v1"}'],
)
def test_anything_else_is_a_usage_error(call: Call, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "thing").write_bytes(data)
    result = call("inspect", tmp_path / "thing")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("attestrain: ")


def test_a_folder_of_something_else(call: Call, tmp_path: Path) -> None:
    result = call("inspect", tmp_path)
    assert result.code == 2
    assert "hint: inspect reads bundles" in result.err
