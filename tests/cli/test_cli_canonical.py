from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from attestrain.cli.verify import worker_head, worker_rows
from attestrain.errors import ExitCode
from attestrain.record.digest import ZERO_DIGEST
from attestrain.verify.policy import ChainPin, Policy
from attestrain.verify.verifier import verify
from tests.attacks.world import honest_world
from tests.cli.conftest import Call, Honest
from tests.unit.node_world import pin, running


def pinning(honest: Honest, folder: Path, chain: ChainPin) -> Path:
    policy = Policy.from_toml(honest.policy.read_text())
    path = folder / "chain.toml"
    path.write_text(replace(policy, pins=replace(policy.pins, chain=chain)).to_toml())
    return path


def test_a_node_confirms_a_verdict(call: Call, honest: Honest, tmp_path: Path) -> None:
    with running() as node:
        result = call("verify", honest.bundle, "--policy", pinning(honest, tmp_path, pin(7)), "--rpc", node.url)
    assert result.code == ExitCode.DONE
    assert "canonical" in result.out


def test_a_node_contradicts_a_verdict(call: Call, honest: Honest, tmp_path: Path) -> None:
    policy = pinning(honest, tmp_path, replace(pin(7), block=ZERO_DIGEST))
    with running() as node:
        result = call("verify", honest.bundle, "--policy", policy, "--rpc", node.url, "--json")
    document = json.loads(result.out)
    assert (result.code, document["verdict"], document["failed_claims"]) == (ExitCode.REFUTED, "REFUTED", [2])


def test_no_node_no_verdict(call: Call, honest: Honest, tmp_path: Path) -> None:
    policy = pinning(honest, tmp_path, pin(7))
    result = call("verify", honest.bundle, "--policy", policy, "--rpc", "http://127.0.0.1:1")
    assert (result.code, result.out) == (ExitCode.UNREACHABLE, "")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "node"])
def test_nothing_to_ask_a_node_about(call: Call, honest: Honest, url: str) -> None:
    for policy in ((), ("--policy", honest.policy)):
        result = call("verify", honest.bundle, *policy, "--rpc", url)
        assert (result.code, result.out) == (ExitCode.USAGE, "")
        assert "[pins.chain]" in result.err


def test_coins_are_shown_where_a_chain_has_them() -> None:
    files, policy = honest_world()
    verdict = verify(files, policy)
    assert "stake" not in worker_head(verdict)
    first, *others = verdict.workers
    rich = replace(first, assurance="simulated", stake=5 * 10**18, slashed=5 * 10**17, owed=0, case="guilty")
    told = replace(verdict, workers=(rich, *others))
    row = dict(zip(worker_head(told), worker_rows(told)[0], strict=True))
    money = {name: row[name] for name in ("evidence", "stake", "slashed", "owed", "case")}
    assert money == {"evidence": "simulated", "stake": "5", "slashed": "0.5", "owed": "0", "case": "guilty"}


@pytest.mark.parametrize("arguments", [["verify", "-h"], ["verify", "--sample"]])
def test_runs_without_evidence_load_neither_quote_library_nor_chain(arguments: list[str]) -> None:
    code = (
        "import sys; from attestrain.cli.main import execute; "
        f"print(int(execute({arguments!r})), 'dcap_qvl' in sys.modules, 'attestrain.settle' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "0 False False"
