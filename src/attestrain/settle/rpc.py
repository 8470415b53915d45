"""JSON-RPC to an EVM chain over HTTP; every answer is bounded and checked for its shape before it is used.

Our own few lines and no chain library: those take a second to load in every process that talks to a chain, and hand on
what a node says as it comes (docs/adr/0008-chain-client.md). The test suite holds our bytes against eth-account's and
eth-abi's.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import ssl
import threading
import time
from typing import Any
from urllib.parse import urlsplit

from attestrain.errors import FormatError, Refuted, Unreachable, UsageError
from attestrain.record.canonical import check_nesting
from attestrain.record.eip712 import WORD
from attestrain.settle.artefacts import error_names

TIMEOUT = 30.0
"""Seconds that a chain may take to answer."""
PAUSE = 0.05
"""Seconds before asking again whoever did not answer."""
MAX_ANSWER = 64 << 20
"""Largest answer in bytes: the embedded chain's whole state after ten thousand blocks is below it."""
MAX_URL = 2048
"""Longest endpoint."""
Data = bytes
"""So called because `Rpc` has a method of that name."""
_HEX = re.compile(r"0x[0-9a-fA-F]*\Z")
_HEADERS = {"Content-Type": "application/json", "User-Agent": "attestrain"}


class Reverted(Refuted):
    """A contract refused.

    Attributes:
        name: of its error, such as "StakeTooSmall"; empty if it gave none.
    """

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class Refused(Unreachable):
    """The node answered, and will not do what it was asked.

    Attributes:
        reason: in its words.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Rpc:
    """One endpoint, for any number of threads, and for forks of this process too.

    Args:
        url: where it is; http or https.
        patience: seconds to ask again for while nobody answers: an embedded chain that was killed is started again.

    Raises (all methods):
        Unreachable: it does not answer, or answers something that is not an answer.
        Refused: it answers with an error.
        Reverted: a contract refused.
    """

    def __init__(self, url: str, patience: float = 0.0) -> None:
        self.url = url
        self._host, self._port, self._path, self._secure = _split(url)
        self._patience = patience
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None
        self._owner = os.getpid()

    def __del__(self) -> None:
        # A fork shares its parent's connection, which closing its own handle does not end.
        if getattr(self, "_connection", None) is not None:
            self._drop()

    def ask(self, method: str, *params: Any) -> Any:
        """Call a method that may safely be called twice; its result as JSON."""
        end = time.monotonic() + self._patience
        while True:
            try:
                return self.ask_once(method, *params)
            except Refused:
                raise
            except Unreachable:
                if time.monotonic() >= end:
                    raise
            time.sleep(PAUSE)

    def ask_once(self, method: str, *params: Any) -> Any:
        """Call a method, without asking again if the answer is lost."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        answer = self._parse(self._exchange(body), method)
        if answer.get("error"):
            raise _failure(method, answer["error"])
        return answer.get("result")

    def number(self, method: str, *params: Any) -> int:
        """A method whose result is a quantity."""
        return as_int(self.ask(method, *params))

    def word(self, method: str, *params: Any) -> Data:
        """A method whose result is a word, such as a storage slot."""
        return as_bytes(self.ask(method, *params), WORD)

    def bytes(self, method: str, *params: Any) -> Data:
        """A method whose result is bytes."""
        return as_bytes(self.ask(method, *params))

    def object(self, method: str, *params: Any) -> dict[str, Any] | None:
        """A method whose result is an object, or null."""
        result = self.ask(method, *params)
        if result is not None and not isinstance(result, dict):
            raise Unreachable(f"chain answers {method} with something that is not an object")
        return result

    def items(self, method: str, *params: Any) -> list[Any]:
        """A method whose result is a list."""
        result = self.ask(method, *params)
        if not isinstance(result, list):
            raise Unreachable(f"chain answers {method} with something that is not a list")
        return result

    def _exchange(self, body: Data) -> Data:
        """One request. A kept connection may have been closed meanwhile, so a first failure on it proves nothing."""
        with self._lock:
            if self._owner != os.getpid():  # a fork must not speak on its parent's connection
                self._connection, self._owner = None, os.getpid()
            kept = self._connection is not None
            try:
                return self._request(body)
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                if not kept or not isinstance(error, ConnectionError | http.client.BadStatusLine):
                    raise Unreachable(f"chain at {self._shown} does not answer: {_short(error)}") from error
            try:
                return self._request(body)
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                raise Unreachable(f"chain at {self._shown} does not answer: {_short(error)}") from error

    def _request(self, body: Data) -> Data:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect()
        connection.request("POST", self._path, body, _HEADERS)
        response = connection.getresponse()
        data = response.read(MAX_ANSWER + 1)
        if len(data) > MAX_ANSWER:
            self._drop()
            raise Unreachable(f"chain at {self._shown} answers with more than {MAX_ANSWER} bytes")
        if response.status != 200:
            self._drop()
            raise Unreachable(f"chain at {self._shown} answers with HTTP status {response.status}")
        return data

    def _connect(self) -> http.client.HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT, context=context)
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
        connection.connect()
        # Where nobody listens on the loopback, a connection may happen to reach itself.
        if connection.sock.getsockname() == connection.sock.getpeername():
            connection.close()
            raise ConnectionRefusedError("nobody listens there")
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _parse(self, data: Data, method: str) -> dict[str, Any]:
        try:
            check_nesting(data)
            answer = json.loads(data)
        except (ValueError, FormatError, RecursionError) as error:
            raise Unreachable(f"chain at {self._shown} answers {method} with something that is not JSON") from error
        if not isinstance(answer, dict):
            raise Unreachable(f"chain at {self._shown} answers {method} with something that is not an answer")
        return answer

    @property
    def _shown(self) -> str:
        """The endpoint without its path, which may hold an access key."""
        return f"{'https' if self._secure else 'http'}://{self._host}:{self._port}"


def _split(url: str) -> tuple[str, int, str, bool]:
    hint = "an endpoint looks like http://127.0.0.1:8545"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{url[:80]!r} is not an endpoint: {error}", hint=hint) from error
    if parts.scheme not in ("http", "https") or not host or len(url) > MAX_URL or not url.isascii():
        raise UsageError(f"{url[:80]!r} is not an http or https endpoint", hint=hint)
    if parts.username is not None or parts.password is not None:
        raise UsageError("an endpoint with a user name and a password is not supported", hint=hint)
    secure = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return host, port or (443 if secure else 80), path, secure


def as_int(value: object) -> int:
    """A quantity from JSON.

    Raises:
        Unreachable: not one.
    """
    if not isinstance(value, str) or not _HEX.match(value) or not 2 < len(value) <= 66:
        raise Unreachable(f"chain answers with {str(value)[:40]!r} where a quantity belongs")
    return int(value, 16)


def as_bytes(value: object, size: int | None = None) -> bytes:
    """Bytes from JSON, of a given size if one is given.

    Raises:
        Unreachable: not bytes, or of another size.
    """
    if not isinstance(value, str) or not _HEX.match(value) or len(value) % 2:
        raise Unreachable(f"chain answers with {str(value)[:40]!r} where bytes belong")
    data = bytes.fromhex(value[2:])
    if size is not None and len(data) != size:
        raise Unreachable(f"chain answers with {len(data)} bytes where {size} belong")
    return data


def _failure(method: str, error: Any) -> Refuted | Unreachable:
    """What an error object of the chain means."""
    fields = error if isinstance(error, dict) else {"message": error}
    message, data = str(fields.get("message", ""))[:200], fields.get("data")
    data = data.get("data") if isinstance(data, dict) else data
    if isinstance(data, str) and _HEX.match(data) and len(data) >= 10:
        name = error_names().get(bytes.fromhex(data[2:10]), "")
        return Reverted(f"the contract refuses: {name or message}", name)
    if "revert" in message.lower():
        return Reverted(f"the contract refuses: {message}")
    return Refused(f"chain refuses {method}: {message}", message.lower())


def _short(error: Exception) -> str:
    return str(error).partition("\n")[0][:160] or type(error).__name__
