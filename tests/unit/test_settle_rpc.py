"""A node that lies or breaks is unreachable, whatever it says; never a traceback, never believed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from attestrain.errors import Refuted, Unreachable, UsageError
from attestrain.record.chain import CONTRACTS
from attestrain.record.digest import ZERO_DIGEST, sha256
from attestrain.record.keys import SigningKey
from attestrain.record.names import Address, KeyEpoch, Round, RunId, Text, Worker
from attestrain.record.statements import Join
from attestrain.settle import rpc as rpc_module
from attestrain.settle.cases import CaseId
from attestrain.settle.client import ChainClient
from attestrain.settle.contracts import Terms, deploy
from attestrain.settle.deployment import Deployment
from attestrain.settle.overview import look
from attestrain.settle.proofs import read_block
from attestrain.settle.rpc import Refused, Reverted, Rpc
from tests.unit.chain_world import World

KEY = SigningKey.generate()
RUN = RunId(sha256(b"run"))
AT = Deployment(31337, {name: Address(f"0x{index + 1:040x}") for index, name in enumerate(CONTRACTS)})
JOIN = Join(
    RUN,
    Text("worker"),
    Worker(0),
    KEY.address,
    SigningKey.generate().address,
    KeyEpoch(0),
    Round(1),
    ZERO_DIGEST,
    ZERO_DIGEST,
)
CASE = CaseId(RUN, Round(0), Worker(0), 0, KEY.address)


class Liar(ThreadingHTTPServer):
    """A node that says what a test makes it say.

    `says` maps a method to its result, to a function that makes the whole answer of bytes, or to bytes; "" is for
    all other methods.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.says: dict[str, Any] = {"eth_chainId": "0x7a69"}
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Liar
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer is one packet, or each waits for the last one's acknowledgement

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = self.server.says.get(request["method"], self.server.says.get(""))
        if said is None and request["method"] not in self.server.says:
            self.close_connection = True
            return
        body = said if isinstance(said, bytes) else json.dumps({"jsonrpc": "2.0", "id": 1, "result": said}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def liar() -> Iterator[Liar]:
    server = Liar()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def client(liar: Liar, folder: Path) -> ChainClient:
    return ChainClient(liar.url, AT, KEY, folder, embedded=True, patience=0.0)


RESULTS: list[Any] = [
    None,
    True,
    7,
    -1,
    1.5,
    "",
    "0x",
    "0xzz",
    "0x1",
    "0x" + "ff" * 33,
    "7",
    [],
    [None],
    [{}],
    [{"topics": []}],
    [{"topics": ["0x"], "data": "0x"}],
    {},
    {"number": "0x1"},
    {"status": 1, "blockNumber": None},
    {"hash": "0x" + "00" * 32, "number": "0x1", "timestamp": "0x1"},
]
CALLS: dict[str, Callable[[ChainClient], Any]] = {
    "block": lambda c: c.block(),
    "block 1": lambda c: c.block(1),
    "balance": lambda c: c.balance(KEY.address),
    "run_state": lambda c: c.run_state(RUN),
    "account": lambda c: c.account(KEY.address),
    "committee": lambda c: c.committee(RUN),
    "enrolment": lambda c: c.enrolment(JOIN),
    "case": lambda c: c.case(CASE),
    "ballot": lambda c: c.ballot(CASE),
    "capture": lambda c: c.capture(RUN),
    "deposit": lambda c: c.deposit(1),
    "anchor": lambda c: c.anchor(RUN, Round(1), ZERO_DIGEST, 1, ZERO_DIGEST, last=False),
    "proof": lambda c: c.proof(RUN, [JOIN], []),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_answer_of_another_shape_is_no_answer(
    liar: Liar, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("attestrain.settle.sender.PATIENCE", 0.05)
    monkeypatch.setattr("attestrain.settle.client.BLOCK_PATIENCE", 0.05)
    for index, result in enumerate(RESULTS):
        subject = client(liar, tmp_path / str(index))
        liar.says[""] = result
        try:
            found = CALLS[name](subject)
        except (Unreachable, Refuted):
            continue
        # A number is a number, wherever it comes from; nothing else may have been taken for an answer.
        assert (name, result) == ("balance", "0x1"), found


BODIES = [
    b"",
    b"no",
    b"[]",
    b"7",
    b"null",
    b'{"result"',
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"error": 1}',
    b'{"error": "x"}',
    b'{"error": {"message": 7, "data": {"data": [1]}}}',
    b'{"error": {"code": 3, "message": null, "data": "0x"}}',
    b'{"error": {"message": "execution reverted", "data": "0xdeadbeef"}}',
    b'{"result": 1e999}',
    b'{"result": ' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_what_is_no_answer_is_unreachable(liar: Liar, body: bytes):
    liar.says["eth_blockNumber"] = body
    with pytest.raises((Unreachable, Reverted)):
        Rpc(liar.url).number("eth_blockNumber")


def test_a_huge_answer_is_not_read(liar: Liar, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rpc_module, "MAX_ANSWER", 1000)
    liar.says["eth_blockNumber"] = b" " * 2000
    with pytest.raises(Unreachable, match="more than 1000 bytes"):
        Rpc(liar.url).number("eth_blockNumber")


def test_a_server_error_is_unreachable(liar: Liar):
    liar.status = 500
    with pytest.raises(Unreachable, match="HTTP status 500"):
        Rpc(liar.url).number("eth_chainId")


def test_a_closed_connection_is_unreachable(liar: Liar):
    with pytest.raises(Unreachable, match="does not answer"):
        Rpc(liar.url).number("eth_blockNumber")


def test_nobody_there_is_unreachable():
    with pytest.raises(Unreachable, match="does not answer"):
        Rpc("http://127.0.0.1:1").number("eth_chainId")


@pytest.mark.parametrize("url", ["", "ftp://a", "http://", "http://a:b", "http://u:p@a", "http://a" + "/x" * 2000])
def test_what_is_no_endpoint_is_a_mistake(url: str):
    with pytest.raises(UsageError):
        Rpc(url)


def test_an_access_key_in_an_endpoint_is_not_repeated():
    with pytest.raises(Unreachable) as error:
        Rpc("http://127.0.0.1:1/v3/secret").number("eth_chainId")
    assert "secret" not in str(error.value)


def test_a_refusal_is_told_apart_from_a_contracts(liar: Liar):
    liar.says["eth_call"] = b'{"error": {"code": -32000, "message": "insufficient funds for gas"}}'
    with pytest.raises(Refused, match="insufficient"):
        Rpc(liar.url).ask("eth_call")
    liar.says["eth_call"] = b'{"error": {"code": 3, "message": "execution reverted"}}'
    with pytest.raises(Reverted):
        Rpc(liar.url).ask("eth_call")


def test_a_block_that_does_not_hash_to_its_name_is_refused(liar: Liar, world: World):
    true = world.rpc.object("eth_getBlockByNumber", "0x1", False)
    assert true is not None
    liar.says["eth_getBlockByNumber"] = true
    assert read_block(Rpc(liar.url), 1)[0].number == 1
    for name, value in (
        ("hash", "0x" + "11" * 32),
        ("stateRoot", "0x" + "11" * 32),
        ("timestamp", "0x1"),
        ("baseFeePerGas", None),
        ("extraData", "0x1"),
        ("logsBloom", "0x"),
        ("number", [1]),
    ):
        liar.says["eth_getBlockByNumber"] = {**true, name: value}
        with pytest.raises(Unreachable):
            read_block(Rpc(liar.url), 1)


def test_a_true_block_under_another_number_is_refused(liar: Liar, world: World):
    liar.says["eth_getBlockByNumber"] = world.rpc.object("eth_getBlockByNumber", "0x1", False)
    with pytest.raises(Unreachable):
        read_block(Rpc(liar.url), 2)


def test_nothing_is_deployed_on_a_liar(liar: Liar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("attestrain.settle.sender.PATIENCE", 0.05)
    monkeypatch.setattr("attestrain.settle.contracts.PATIENCE", 0.0)
    for index, result in enumerate(RESULTS):
        liar.says[""] = result
        with pytest.raises(Unreachable):
            deploy(liar.url, KEY, Terms(1, 1, 1, 1, 1, 1, 1), tmp_path / str(index), instant=True)


def test_an_overview_of_a_liar_is_none(liar: Liar):
    for result in RESULTS:
        liar.says[""] = result
        with pytest.raises(Unreachable):
            look(liar.url, AT, RUN)
