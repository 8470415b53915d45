"""The guest agent of dstack, over its Unix socket: quotes with the log of what the guest measured.

Source: https://github.com/Dstack-TEE/dstack, sdk/curl/api.md: JSON by HTTP POST. The agent extends RTMR3 while the
guest boots, so its logs are for `appraise.logs`; our own evidence document holds no log of that kind yet.
"""

from __future__ import annotations

import http.client
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from attestrain.appraise.logs.dstack import MAX_LOG, read_dstack
from attestrain.appraise.logs.entry import EventLog
from attestrain.errors import FormatError, Unreachable, UsageError
from attestrain.record.canonical import Json, canonical, parse_any_form
from attestrain.record.evidence import MAX_QUOTE, REPORT_DATA_SIZE

SOCKET = Path("/var/run/dstack.sock")
"""Where dstack puts the agent."""
MAX_ANSWER = 4 << 20
"""Largest answer, in bytes: quote and log, each in JSON, the log with its quotation marks escaped."""
TIMEOUT = 60.0
"""Seconds that the agent may be silent: a quote takes about one, more when the host is busy."""

_HEX = re.compile(r"(0x)?(([0-9a-f]{2})*)\Z")


@dataclass(frozen=True, slots=True)
class AgentQuote:
    """What the agent gave: the quote, and the log that gives its registers."""

    quote: bytes
    log: EventLog


class Agent:
    """The agent of this guest.

    Args:
        path: its socket.
        timeout: seconds that it may be silent.
    """

    def __init__(self, path: Path = SOCKET, timeout: float = TIMEOUT) -> None:
        self._path = path
        self._timeout = timeout

    def quote(self, report_data: bytes) -> AgentQuote:
        """A quote that binds ``report_data``, and the event log.

        Raises:
            UsageError: there is no agent, or it refuses.
            Unreachable: it does not answer.
            FormatError: its answer is malformed.
            Refused: its event log is.
        """
        if len(report_data) != REPORT_DATA_SIZE:
            raise UsageError(f"report data of {len(report_data)} bytes are not {REPORT_DATA_SIZE}")
        answer = self._post("/GetQuote", {"report_data": report_data.hex()})
        quote, log = _text(answer, "quote", 2 * MAX_QUOTE + 2), _text(answer, "event_log", MAX_LOG)
        spelled = _HEX.match(quote)
        if spelled is None:
            raise FormatError("the agent's quote is not lower-case hexadecimal")
        return AgentQuote(bytes.fromhex(spelled.group(2)), read_dstack(log.encode("utf-8", "surrogatepass")))

    def info(self) -> Json:
        """What the agent says of the guest: ``app_id``, ``compose_hash`` and more. Nothing else vouches for it.

        Raises:
            UsageError: there is no agent, or it refuses.
            Unreachable: it does not answer.
            FormatError: its answer is malformed.
        """
        return self._post("/Info", {})

    def _post(self, path: str, body: Json) -> Json:
        connection = _UnixConnection(self._path, self._timeout)
        try:
            connection.request("POST", path, canonical(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            data = response.read(MAX_ANSWER + 1)
        except (FileNotFoundError, ConnectionRefusedError, PermissionError) as error:
            hint = "a dstack guest has it, if app-compose.json mounts it"
            raise UsageError(f"no dstack agent at {self._path}: {error.strerror}", hint=hint) from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"the dstack agent does not answer {path}: {error!r}") from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise UsageError(f"the dstack agent refuses {path}: status {response.status}, {data[:200]!r}")
        return parse_any_form(data, max_bytes=MAX_ANSWER)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("dstack", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _text(answer: Json, key: str, most: int) -> str:
    value = answer.get(key)
    if not isinstance(value, str) or len(value) > most:
        raise FormatError(f"the agent's {key} is not text of at most {most} characters")
    return value
