"""`attestrain chain` against a real chain that it started itself."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from attestrain.errors import ExitCode
from attestrain.record.chain import CONTRACTS
from attestrain.record.keys import SigningKey
from attestrain.settle.deployment import Deployment
from attestrain.store.keystore import save_key
from tests.cli.conftest import PROGRAM, Call
from tests.unit.chain_world import anvil  # noqa: F401

KEY = SigningKey.generate()


class Running:
    """`chain up` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = [*PROGRAM, "chain", "up", "--folder", str(folder), "--json", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line == "}\n":
                break
        self.facts = json.loads("".join(lines))

    def end(self) -> tuple[int, str]:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        _, talk = self.process.communicate(timeout=30)
        return self.process.returncode, talk


@pytest.fixture
def running(anvil: Path, tmp_path: Path) -> Iterator[Running]:  # noqa: F811
    chain = Running(tmp_path / "chain", "--fund", KEY.address)
    yield chain
    chain.end()


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    save_key(tmp_path / "key.json", KEY, "secret", light=True)
    (tmp_path / "pass").write_text("secret\n")
    (tmp_path / "pass").chmod(0o600)
    return tmp_path / "key.json"


def test_contracts_are_deployed_and_outlive_the_chains_process(
    call: Call, running: Running, keystore: Path, tmp_path: Path
) -> None:
    out, url = tmp_path / "deployment.json", running.facts["url"]
    given = ("--key", keystore, "--passphrase", tmp_path / "pass", "--out", out)
    done = call("chain", "deploy", "--rpc", url, *given, "--fine", "2.5", "--json")
    assert done.code == 0, done.err
    deployment = Deployment.from_bytes(out.read_bytes())
    assert json.loads(done.out)["ledger"] == deployment.contracts["ledger"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chain", "deployment.json", "key.json", "pass"]
    code, talk = running.end()
    assert (code, "ended at block" in talk) == (0, True)

    again = Running(tmp_path / "chain")
    seen = call("chain", "status", "--rpc", again.facts["url"], "--deployment", out, "--run", "11" * 32, "--json")
    assert again.end()[0] == 0
    assert (seen.code, seen.err) == (0, "this run was never opened there\n")
    facts = json.loads(seen.out)
    assert [item["code"] for item in facts["contracts"]] == ["ours"] * 5
    assert (facts["terms"]["fine"], facts["terms"]["beaconDelay"]) == (str(25 * 10**17), "8")


def test_other_code_is_called_so(call: Call, running: Running, tmp_path: Path) -> None:
    contracts = {name: SigningKey.generate().address for name in CONTRACTS}
    (tmp_path / "d.json").write_bytes(Deployment(31337, contracts).to_bytes())
    seen = call("chain", "status", "--rpc", running.facts["url"], "--deployment", tmp_path / "d.json")
    assert (seen.code, "have other code" in seen.err) == (ExitCode.REFUTED, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("up", "--fund", "0x12"), "not an account"),
        (("deploy", "--rpc", "http://127.0.0.1:1", "--key", "k", "--fine", "-1"), "--fine is not an amount"),
        (("deploy", "--rpc", "http://127.0.0.1:1", "--key", "k", "--out", __file__), "exists"),
        (("status", "--rpc", "http://127.0.0.1:1", "--run", "11" * 32), "--run needs --deployment"),
        (("status", "--rpc", "http://127.0.0.1:1", "--deployment", "none.json"), "cannot read none.json"),
        (("status", "--rpc", "http://127.0.0.1:1", "--deployment", __file__), "test_cli_chain.py: "),
        (("status", "--rpc", "ftp://127.0.0.1"), "is not an http or https endpoint"),
    ],
)
def test_mistakes_are_told(call: Call, arguments: tuple[str, ...], message: str) -> None:
    result = call("chain", *arguments)
    assert (result.code, message in result.err) == (ExitCode.USAGE, True), result.err


def test_a_chain_that_is_not_there_is_unreachable(call: Call) -> None:
    assert call("chain", "status", "--rpc", "http://127.0.0.1:1").code == ExitCode.UNREACHABLE
