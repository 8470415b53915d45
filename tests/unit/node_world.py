"""A node that answers JSON-RPC with what a test puts into it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from attestrain.record.chain import CONTRACTS
from attestrain.record.digest import Digest, sha256
from attestrain.record.names import Address
from attestrain.verify.policy import ChainPin


class Node(ThreadingHTTPServer):
    """Blocks by number and tag; an exception's text where a block belongs is an error that the node answers."""

    daemon_threads = True

    def __init__(self, chain_id: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.chain_id: Any = hex(chain_id)
        self.blocks: dict[str, Any] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def grow(self, height: int, final: int | None) -> None:
        """Blocks up to ``height``; without ``final`` it does not know the tag, as older nodes do."""
        self.blocks = {hex(number): block(number) for number in range(height + 1)}
        self.blocks["latest"] = block(height)
        self.blocks["finalized"] = ValueError("unknown block") if final is None else block(final)


class _Handler(BaseHTTPRequestHandler):
    server: Node

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = self.server.chain_id if asked["method"] == "eth_chainId" else self.server.blocks.get(asked["params"][0])
        answer = {"error": {"code": -32000, "message": str(said)}} if isinstance(said, Exception) else {"result": said}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, **answer}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def block_hash(number: int) -> Digest:
    """Hash of a block of the node's chain."""
    return sha256(b"block %d" % number)


def block(number: int) -> dict[str, str]:
    """A block, as far as it is asked for."""
    return {"number": hex(number), "hash": "0x" + block_hash(number).hex()}


def pin(number: int, chain_id: int = 1, *, local: bool = False) -> ChainPin:
    """A pin of one of the node's blocks."""
    contracts = {name: Address(f"0x{index + 1:040x}") for index, name in enumerate(CONTRACTS)}
    return ChainPin(chain_id, number, block_hash(number), contracts, local)


@contextmanager
def running(chain_id: int = 1) -> Iterator[Node]:
    """A node with 200 blocks, of which 150 are final."""
    node = Node(chain_id)
    node.grow(200, 150)
    thread = threading.Thread(target=node.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield node
    finally:
        node.shutdown()
        node.server_close()
        thread.join()
