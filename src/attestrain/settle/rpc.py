"""JSON-RPC to an EVM chain, through web3's provider; every answer is checked for its shape before it is used.

web3 takes a second to load, so only what talks to a chain loads it.
"""

from __future__ import annotations

import re
import time
from typing import Any

from attestrain.errors import Refuted, Unreachable
from attestrain.settle.artefacts import error_names

TIMEOUT = 30.0
"""Seconds that a chain may take to answer."""
PAUSE = 0.2
"""Seconds before asking again."""
_HEX = re.compile(r"0x[0-9a-fA-F]*\Z")
_PANIC = "the chain would not execute it"


class Reverted(Refuted):
    """A contract refused.

    Attributes:
        name: of its error, such as "StakeTooSmall"; empty if it gave none.
    """

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class Rpc:
    """One endpoint.

    Args:
        url: where it is; http or https.
        patience: seconds to ask again for while nobody answers: an embedded chain that was killed is started again.

    Raises (all methods):
        Unreachable: it does not answer, or answers something that is not an answer.
        Reverted: a contract refused.
    """

    def __init__(self, url: str, patience: float = 0.0) -> None:
        from web3 import HTTPProvider

        self.url = url
        self._patience = patience
        self._provider = HTTPProvider(url, request_kwargs={"timeout": TIMEOUT})

    def ask(self, method: str, *params: Any) -> Any:
        """Call a method; its result as JSON."""
        answer = self._request(method, list(params))
        if not isinstance(answer, dict):
            raise Unreachable(f"chain at {self.url} answers {method} with something that is not an answer")
        if answer.get("error"):
            raise _failure(method, answer["error"])
        return answer.get("result")

    def _request(self, method: str, params: list[Any]) -> Any:
        end = time.monotonic() + self._patience
        while True:
            try:
                return self._provider.make_request(method, params)
            except (OSError, ValueError) as error:
                if time.monotonic() >= end:
                    raise Unreachable(f"chain at {self.url} does not answer: {_short(error)}") from error
            time.sleep(PAUSE)

    def number(self, method: str, *params: Any) -> int:
        """A method whose result is a quantity."""
        return as_int(self.ask(method, *params))

    def bytes(self, method: str, *params: Any) -> bytes:
        """A method whose result is bytes."""
        return as_bytes(self.ask(method, *params))

    def object(self, method: str, *params: Any) -> dict[str, Any] | None:
        """A method whose result is an object, or null."""
        result = self.ask(method, *params)
        if result is not None and not isinstance(result, dict):
            raise Unreachable(f"chain answers {method} with something that is not an object")
        return result


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
    return Unreachable(f"chain refuses {method}: {message}")


def _short(error: Exception) -> str:
    return str(error).partition("\n")[0][:160] or type(error).__name__
