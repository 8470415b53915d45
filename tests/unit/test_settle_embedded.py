"""The embedded chain: whatever is killed, what counted stays, and what did not is sent again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from attestrain.errors import FormatError, Unreachable, UsageError
from attestrain.record.digest import Digest, sha256
from attestrain.record.eip712 import address_bytes
from attestrain.record.keys import SigningKey
from attestrain.record.names import Address, Round, RunId
from attestrain.rules import accumulator
from attestrain.rules.slots import RunWords, run_slots
from attestrain.rules.trie import Account, read_account
from attestrain.settle.client import ChainClient
from attestrain.settle.contracts import deploy
from attestrain.settle.embedded import STATE, EmbeddedChain
from attestrain.settle.finality import SEALED, finality
from attestrain.settle.outbox import Outbox
from attestrain.settle.rpc import Rpc
from attestrain.settle.sender import Sender
from attestrain.settle.transactions import Call
from tests.unit.chain_world import COIN, TERMS

STARTER = """
import sys, time
from pathlib import Path
from attestrain.settle.embedded import EmbeddedChain
chain = EmbeddedChain(Path(sys.argv[1]))
print(chain.pid, chain.url, flush=True)
time.sleep(600)
"""


def kill(chain: EmbeddedChain) -> None:
    """End anvil as a power cut would."""
    os.kill(chain.pid, signal.SIGKILL)
    while chain.alive():
        time.sleep(0.005)


def blocks(chain: EmbeddedChain, height: int) -> list[object]:
    """Every block up to ``height``, as the node tells it."""
    rpc = Rpc(chain.url, 5.0)
    return [rpc.ask("eth_getBlockByNumber", hex(number), False) for number in range(height + 1)]


def balance(chain: EmbeddedChain, address: str) -> int:
    return Rpc(chain.url, 5.0).number("eth_getBalance", address, "latest")


def sender(chain: EmbeddedChain, key: SigningKey, outbox: Path) -> Sender:
    rpc = Rpc(chain.url, 20.0)
    return Sender(rpc, 31_337, key, outbox, finality(rpc, SEALED), instant=True)


@pytest.fixture
def funded(anvil: Path, tmp_path: Path):
    """A chain of this test's own, and an account with coins."""
    key = SigningKey.generate()
    with EmbeddedChain(tmp_path / "chain") as chain:
        chain.fund(key.address, 1_000 * COIN)
        yield chain, key


def test_after_a_kill_every_block_that_counted_is_the_same(funded, tmp_path):
    chain, key = funded
    out = sender(chain, key, tmp_path / "sent")
    for index in range(5):
        out.send(f"gift-{index}", Call(SigningKey.generate().address, b"", index))
    height = chain.finalise()
    before = blocks(chain, height)
    for _ in range(2):
        kill(chain)
        chain.restart()
        assert blocks(chain, height) == before
        assert finality(Rpc(chain.url), SEALED).height() >= height


def test_the_clock_is_the_machines_and_never_goes_back(funded):
    chain, _ = funded
    rpc = Rpc(chain.url, 5.0)

    def now() -> int:
        block = rpc.object("eth_getBlockByNumber", "latest", False)
        assert block is not None
        return int(block["timestamp"], 16)

    chain.mine()
    assert abs(now() - time.time()) < 5
    rpc.ask("evm_increaseTime", 10_000)
    chain.mine()
    ahead = now()
    kill(chain)
    chain.restart()
    chain.mine()
    assert now() >= ahead


def test_a_closed_chain_goes_on_where_it_stopped(anvil, tmp_path):
    key = SigningKey.generate()
    with EmbeddedChain(tmp_path / "chain") as chain:
        chain.fund(key.address, COIN)
        height = chain.finalise()
        before = blocks(chain, height)
    with EmbeddedChain(tmp_path / "chain") as chain:
        assert blocks(chain, height) == before
        assert balance(chain, key.address) == COIN


def test_coins_given_survive_a_kill(funded):
    chain, _ = funded
    other = SigningKey.generate().address
    chain.fund(other, 7 * COIN)
    kill(chain)
    chain.restart()
    assert balance(chain, other) == 7 * COIN
    chain.fund(other, 3 * COIN)
    assert balance(chain, other) == 7 * COIN


def proved(chain: EmbeddedChain, address: str, height: int) -> Account | None:
    """The account as the block's own state root proves it."""
    rpc = Rpc(chain.url)
    proof = rpc.object("eth_getProof", address, [], hex(height))
    block = rpc.object("eth_getBlockByNumber", hex(height), False)
    assert proof is not None
    assert block is not None
    root = Digest(bytes.fromhex(block["stateRoot"][2:]))
    nodes = tuple(bytes.fromhex(node[2:]) for node in proof["accountProof"])
    return read_account(root, address_bytes(Address(address)), nodes)


def test_coins_given_after_a_restart_leave_every_block_provable(funded):
    """A balance set from outside was in the state of the block before it, which did not commit to it: such a run was
    refuted although everything in it was right."""
    chain, key = funded
    kill(chain)
    chain.restart()
    before = Rpc(chain.url).number("eth_blockNumber")
    chain.fund(SigningKey.generate().address, COIN)
    for height in range(before, Rpc(chain.url).number("eth_blockNumber") + 1):
        assert proved(chain, key.address, height) is not None


def test_beacons_and_enrolled_blocks_outlive_a_restart(funded, tmp_path):
    """anvil's BLOCKHASH makes hashes up after a restart; the contracts must not believe it."""
    chain, key = funded
    deployment = deploy(chain.url, key, TERMS, tmp_path / "sent", instant=True)
    client = ChainClient(chain.url, deployment, key, tmp_path / "sent", embedded=True)
    run = RunId(sha256(b"run"))
    client.open_run(run, 0, 0, int(time.time()) + 10_000, [])
    word = accumulator.opened(run, key.address)
    beacon = client.capture(run)
    word = accumulator.captured(word, beacon.number, beacon.hash)
    client.anchor(run, Round(1), sha256(b"root"), 5, sha256(b"checkpoint"), last=False)
    word = accumulator.anchored(word, 1, sha256(b"root"), 5, sha256(b"checkpoint"))
    kill(chain)
    chain.restart()
    beacon = client.capture(run)
    assert client.block(beacon.number) == beacon
    word = accumulator.captured(word, beacon.number, beacon.hash)
    slots = run_slots(run)
    rpc = Rpc(chain.url)
    at = deployment.contracts["ledger"]
    words = tuple(rpc.word("eth_getStorageAt", at, "0x" + slot.hex(), "latest") for slot in slots)
    assert RunWords.read(words).accumulator == word


def test_what_counted_is_never_lost_whenever_it_is_killed(funded, tmp_path):
    chain, key = funded
    lucky, stop = random.Random(7), threading.Event()

    def trouble() -> None:
        while not stop.is_set():
            time.sleep(lucky.uniform(0.0, 0.12))
            kill(chain)
            chain.restart()

    out = sender(chain, key, tmp_path / "sent")
    to = SigningKey.generate().address
    thread = threading.Thread(target=trouble)
    thread.start()
    try:
        receipts = [out.send(f"coin-{index}", Call(to, b"", 1)) for index in range(12)]
    finally:
        stop.set()
        thread.join()
    rpc = Rpc(chain.url, 5.0)
    assert balance(chain, to) == 12
    for receipt in receipts:
        found = rpc.object("eth_getTransactionReceipt", receipt["transactionHash"])
        assert found is not None
        assert found["blockHash"] == receipt["blockHash"]


def test_what_was_written_down_but_not_sent_is_sent_as_it_is(funded, tmp_path):
    chain, key = funded
    first = sender(chain, key, tmp_path / "sent")
    to = SigningKey.generate().address
    call = Call(to, b"", 5)
    kept = first._sign("gift", call, None)  # and here the process dies
    again = sender(chain, key, tmp_path / "sent")
    receipt = again.send("gift", call)
    assert receipt["transactionHash"] == "0x" + kept.names[0].hex()
    assert again.send("gift", call) == receipt
    assert balance(chain, to) == 5


def test_a_nonce_that_another_took_is_replaced_and_nothing_is_sent_twice(funded, tmp_path):
    chain, key = funded
    to, other = SigningKey.generate().address, SigningKey.generate().address
    first = sender(chain, key, tmp_path / "sent")
    first._sign("gift", Call(to, b"", 5), None)  # written down, and the process dies
    sender(chain, key, tmp_path / "elsewhere").send("other", Call(other, b"", 3))  # takes its nonce
    sender(chain, key, tmp_path / "sent").send("gift", Call(to, b"", 5))
    assert (balance(chain, to), balance(chain, other)) == (5, 3)
    assert Outbox(tmp_path / "sent").find("gift") is not None


def test_several_threads_and_processes_of_one_account_lose_nothing(funded, tmp_path):
    chain, key = funded
    to = SigningKey.generate().address
    outs = [sender(chain, key, tmp_path / f"sent-{index}") for index in range(3)]

    def work(out: Sender, name: str) -> None:
        for index in range(4):
            out.send(f"{name}-{index}", Call(to, b"", 1))

    threads = [threading.Thread(target=work, args=(outs[index % 3], f"t{index}")) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert balance(chain, to) == 24


def test_a_supervised_chain_comes_back_by_itself(anvil, tmp_path):
    with EmbeddedChain(tmp_path / "chain", supervised=True) as chain:
        pid = chain.pid
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 20
        while chain.pid == pid or not chain.alive():
            assert time.monotonic() < end
            time.sleep(0.02)
        assert Rpc(chain.url, 10.0).number("eth_chainId") == 31_337


def test_it_dies_with_its_parent_and_leaves_the_folder_free(anvil, tmp_path):
    command = [sys.executable, "-c", STARTER, str(tmp_path / "chain")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline().split()[0])
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "(anvil) Z" not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < end
        time.sleep(0.01)
    with EmbeddedChain(tmp_path / "chain") as chain:
        assert chain.alive()


def test_a_stray_of_an_earlier_start_is_ended(anvil, tmp_path):
    folder = tmp_path / "chain"
    folder.mkdir()
    stray = subprocess.Popen([str(anvil), "--host", "127.0.0.1", "--port", "28545", "--quiet"])
    try:
        (folder / "anvil.pid").write_text(f"{stray.pid} 28545\n")
        with EmbeddedChain(folder):
            assert stray.wait(10) == -signal.SIGKILL
    finally:
        stray.kill()
        stray.wait()


def test_a_number_written_down_long_ago_ends_nobody_else(anvil, tmp_path):
    folder = tmp_path / "chain"
    folder.mkdir()
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (folder / "anvil.pid").write_text(f"{bystander.pid} 28545\n")
        with EmbeddedChain(folder):
            assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_folder_has_one_chain_at_a_time(anvil, tmp_path):
    command = [sys.executable, "-c", STARTER, str(tmp_path / "chain")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    try:
        parent.stdout.readline()
        with pytest.raises(UsageError, match="in use by another process"):
            EmbeddedChain(tmp_path / "chain")
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


def test_a_port_that_is_taken_is_said(anvil, tmp_path):
    with EmbeddedChain(tmp_path / "one") as chain, pytest.raises(Unreachable):
        EmbeddedChain(tmp_path / "two", port=chain.port)


@pytest.mark.parametrize("damage", [b"", b"not gzip", b"\x1f\x8b"])
def test_a_damaged_state_is_said(anvil, tmp_path, damage):
    (tmp_path / "chain").mkdir()
    (tmp_path / "chain" / STATE).write_bytes(damage)
    with pytest.raises(FormatError, match="damaged"):
        EmbeddedChain(tmp_path / "chain")


def test_a_state_that_is_cut_off_is_said(anvil, tmp_path):
    with EmbeddedChain(tmp_path / "chain"):
        pass
    path = tmp_path / "chain" / STATE
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FormatError, match="damaged"):
        EmbeddedChain(tmp_path / "chain")


def test_while_the_disk_refuses_nothing_counts(funded, tmp_path, monkeypatch):
    chain, key = funded
    out, to = sender(chain, key, tmp_path / "sent"), SigningKey.generate().address
    chain.finalise()
    before = chain.height()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("attestrain.settle.embedded.write_atomic", refuse)
        thread = threading.Thread(target=out.send, args=("gift", Call(to, b"", 5)))
        thread.start()
        thread.join(1.0)
        assert thread.is_alive()
        assert chain.height() == before + 1
        with pytest.raises(Unreachable, match="No space left"):
            chain.finalise()
    thread.join(10)
    assert not thread.is_alive()
    assert balance(chain, to) == 5


def test_a_fork_leaves_the_chain_alone(funded):
    chain, _ = funded
    child = os.fork()
    if child == 0:
        chain.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert chain.alive()
    assert chain.finalise() > 0


def test_only_the_loopback_hears_it(funded):
    chain, _ = funded
    table = Path("/proc/net/tcp").read_text().splitlines()[1:]
    listening = [line.split()[1] for line in table if line.split()[3] == "0A"]
    mine = [address for address in listening if int(address.split(":")[1], 16) == chain.port]
    assert mine == [f"0100007F:{chain.port:04X}"]


def test_no_account_of_anvils_own_has_coins(funded):
    chain, _ = funded
    assert Rpc(chain.url).ask("eth_accounts") == []
    well_known = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    assert balance(chain, well_known) == 0
