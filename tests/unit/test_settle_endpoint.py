"""The endpoint against servers that lie, break and vanish: real ones, on the loopback."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from attestrain.errors import Unreachable, UsageError
from attestrain.record.eip712 import keccak256
from attestrain.settle import rpc as module
from attestrain.settle.rpc import Refused, Reverted, Rpc, as_bytes, as_int

Answer = Callable[[dict[str, object]], tuple[int, bytes]]


class Node:
    """A node that says what a test wants it to say."""

    def __init__(self) -> None:
        self.answer: Answer = lambda request: (200, b'{"jsonrpc":"2.0","id":1,"result":"0x1"}')
        self.asked: list[dict[str, object]] = []
        self.close_after = False
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # an answer is one packet, or each waits for the last one's acknowledgement

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                node.asked.append({**request, "path": self.path})
                status, body = node.answer(request)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                if node.close_after:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def say(self, body: bytes, status: int = 200) -> None:
        self.answer = lambda request: (status, body)

    def result(self, value: object) -> None:
        self.say(json.dumps({"jsonrpc": "2.0", "id": 1, "result": value}).encode())

    def error(self, **fields: object) -> None:
        self.say(json.dumps({"jsonrpc": "2.0", "id": 1, "error": fields}).encode())


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()
    yield node
    node.server.shutdown()
    node.server.server_close()


def test_it_asks_and_hears(node):
    assert Rpc(f"{node.url}/v3/key?x=1").number("eth_chainId", "a", 2) == 1
    assert node.asked == [
        {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": ["a", 2], "path": "/v3/key?x=1"}
    ]


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", b"[]", b"1", b'"text"', b"\xff", b"[" * 100_000, b'{"result":' + b"[" * 40 + b"]" * 40 + b"}"],
)
def test_what_is_no_answer_is_unreachable(node, body):
    node.say(body)
    with pytest.raises(Unreachable):
        Rpc(node.url).ask("eth_chainId")


def test_an_answer_beyond_the_limit_is_not_read_on(node, monkeypatch):
    monkeypatch.setattr(module, "MAX_ANSWER", 1000)
    node.result("0x" + "00" * 600)
    with pytest.raises(Unreachable, match="more than 1000 bytes"):
        Rpc(node.url).ask("eth_getCode")


@pytest.mark.parametrize("status", [204, 301, 404, 429, 500])
def test_another_status_is_unreachable(node, status):
    node.say(b"", status)
    with pytest.raises(Unreachable, match=f"HTTP status {status}"):
        Rpc(node.url).ask("eth_chainId")


def test_an_access_key_in_the_path_is_not_repeated_in_messages(node):
    node.say(b"nonsense")
    with pytest.raises(Unreachable) as error:
        Rpc(f"{node.url}/v3/secret").ask("eth_chainId")
    assert "secret" not in str(error.value)


def test_nobody_there():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(Unreachable, match="does not answer"):
        Rpc(f"http://127.0.0.1:{port}").ask("eth_chainId")


def test_a_connection_that_was_closed_meanwhile_is_opened_again(node):
    node.close_after = True
    rpc = Rpc(node.url)
    assert [rpc.number("eth_chainId") for _ in range(3)] == [1, 1, 1]


def test_patience_asks_again_but_not_whoever_refuses(node):
    answers = iter([(500, b""), (500, b""), (200, b'{"result":"0x2"}')])
    node.answer = lambda request: next(answers)
    assert Rpc(node.url, patience=5.0).number("eth_chainId") == 2
    node.error(code=-32601, message="method not found")
    asked = len(node.asked)
    with pytest.raises(Refused, match="method not found"):
        Rpc(node.url, patience=5.0).ask("eth_nothing")
    assert len(node.asked) == asked + 1


def test_a_contracts_error_has_its_name(node):
    selector = keccak256(b"StakeTooSmall()")[:4].hex()
    for data in (f"0x{selector}", {"data": f"0x{selector}"}):
        node.error(code=3, message="execution reverted", data=data)
        with pytest.raises(Reverted, match="the contract refuses: StakeTooSmall") as error:
            Rpc(node.url).ask("eth_call")
        assert error.value.name == "StakeTooSmall"


def test_an_error_without_a_name_is_said_in_the_nodes_words(node):
    node.error(code=3, message="execution reverted: because")
    with pytest.raises(Reverted, match="because"):
        Rpc(node.url).ask("eth_call")
    node.say(b'{"error":"out of order"}')
    with pytest.raises(Refused, match="out of order"):
        Rpc(node.url).ask("eth_call")


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("number", None),
        ("number", 1),
        ("number", "0x"),
        ("number", "1"),
        ("number", "0x" + "f" * 65),
        ("number", "0x-1"),
        ("word", "0x00"),
        ("bytes", "0x0"),
        ("bytes", "0xzz"),
        ("bytes", ["0x00"]),
        ("object", []),
        ("object", "0x"),
        ("items", {}),
        ("items", None),
    ],
)
def test_answers_of_another_shape_are_refused(node, method, value):
    node.result(value)
    with pytest.raises(Unreachable):
        getattr(Rpc(node.url), method)("eth_something")


def test_shapes_are_read():
    assert as_int("0x0f") == 15
    assert as_bytes("0xABcd") == b"\xab\xcd"
    with pytest.raises(Unreachable, match="2 bytes where 3 belong"):
        as_bytes("0xabcd", 3)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8545",
        "ftp://127.0.0.1",
        "http://",
        "http://127.0.0.1:port",
        "http://127.0.0.1:99999",
        "http://user:pass@127.0.0.1",
        "http://[::1",
        "http://127.0.0.1/\N{SNOWMAN}",
        "http://127.0.0.1/" + "a" * 3000,
        "file:///etc/passwd",
    ],
)
def test_what_is_no_endpoint_is_a_users_mistake(url):
    with pytest.raises(UsageError):
        Rpc(url)


def test_forks_and_threads_do_not_mix_their_answers(node):
    node.answer = lambda request: (200, json.dumps({"result": hex(request["params"][0])}).encode())
    rpc, seen = Rpc(node.url), []
    assert rpc.number("eth_echo", 0) == 0
    child = os.fork()
    if child == 0:
        os._exit(0 if all(rpc.number("eth_echo", 1000 + index) == 1000 + index for index in range(50)) else 1)

    def work(base: int) -> None:
        seen.extend(rpc.number("eth_echo", base + index) == base + index for index in range(50))

    threads = [threading.Thread(target=work, args=(100 * index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert seen == [True] * 150
