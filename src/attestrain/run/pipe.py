"""A role's side of the local network: its pipe to the conductor, and the life of its process.

Messages are JSON with the entries as text; nothing is unpickled.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from attestrain.record.names import Index
from attestrain.run.exchange import Refusal, Stopped

MAX_MESSAGE = 1 << 24
"""Largest message read from a pipe: far above the largest entry, far below what would hurt."""
STOPPING = (signal.SIGINT, signal.SIGTERM)
"""Signals that ask a run to stop."""


class PipeExchange:
    """A role's end of its pipe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def submit(self, entry: bytes) -> Index:
        """Append an entry; see `Exchange`."""
        return Index(int(self._ask({"op": "submit", "entry": entry.decode("utf-8")})["index"]))

    def poll(self, since: int) -> Sequence[bytes]:
        """Entries from ``since`` on; see `Exchange`."""
        return [entry.encode("utf-8") for entry in self._ask({"op": "poll", "since": since})["entries"]]

    def tell(self, kind: str, /, **data: Any) -> None:
        """Report progress; see `Exchange`."""
        self._send({"op": "tell", "kind": kind, "data": data})

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self._send(message)
        try:
            answer: dict[str, Any] = json.loads(self._connection.recv_bytes(MAX_MESSAGE))
        except (EOFError, OSError) as error:
            raise Stopped("the conductor is gone") from error
        if "refused" in answer:
            raise Refusal(answer["refused"])
        return answer

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._connection.send_bytes(json.dumps(message).encode("utf-8"))
        except OSError as error:
            raise Stopped("the conductor is gone") from error


Body = Callable[[PipeExchange], None]
"""What a role does, from its first line to its last."""


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold back the stopping signals: one that arrives meanwhile takes effect at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def live(body: Body, connection: Connection, inherited: Sequence[Connection], log: Path) -> None:
    """Life of a forked process, which starts with the stopping signals held back.

    Args:
        body: what it does.
        connection: its end of its pipe.
        inherited: other ends that the fork copied.
        log: file that its output is added to.
    """
    # Ctrl-C reaches the whole process group, but stopping is the conductor's business: it hangs up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    # A pipe ends when nobody holds its other side: the copies that came with the fork must go.
    for other in inherited:
        other.close()
    with log.open("ab", buffering=0) as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    threading.Thread(target=_end_with, args=(connection.fileno(),), daemon=True).start()
    try:
        body(PipeExchange(connection))
    except Stopped:
        pass
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _end_with(pipe: int) -> None:
    """End this process as soon as the conductor hangs up, in the middle of whatever it does.

    A role must survive being killed at any moment anyway, and one that trains on for nobody only stands in the way of
    the run that is resumed in its folder.
    """
    poll = select.poll()
    poll.register(pipe, 0)
    poll.poll()
    os._exit(0)
