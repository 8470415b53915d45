"""The local network: worker and auditor processes forked on this machine, each on a pipe to the conductor.

Forking after the engine is imported costs milliseconds where a fresh interpreter costs seconds. Messages are JSON with
the entries as text; nothing is unpickled. The same roles will talk HTTP to a sequencer elsewhere through the same
`Exchange`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from attestrain.errors import Interrupted, RunFailed
from attestrain.record.names import Index, Worker
from attestrain.run.events import EventLog
from attestrain.run.exchange import Refusal, Stopped
from attestrain.run.sequencer import Sequencer

MAX_MESSAGE = 1 << 24
"""Largest message on a pipe: a poll answers with at most a few thousand entries."""
MAX_ENTRIES = 1000
"""Most entries in one answer; the reader polls again."""
MAX_RESTARTS = 3
"""How often a process that dies is started again before the run goes on without it."""
TICK = 0.25
"""Seconds between looks at the clock while waiting."""
GRACE = 10.0
"""Seconds a process has to end by itself at the end of the run."""

Body = Callable[["PipeExchange"], None]


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


@dataclass(slots=True)
class Role:
    """A process: what it runs, its pipe, where it waits in the transcript."""

    name: str
    slot: Worker
    body: Body
    process: multiprocessing.process.BaseProcess | None = None
    connection: Connection | None = None
    waiting_since: int | None = None
    restarts: int = 0


@dataclass(slots=True)
class LocalNetwork:
    """All processes of a run on this machine.

    Args:
        sequencer: answers them.
        events: told what happens.
        logs: folder for their output.
    """

    sequencer: Sequencer
    events: EventLog
    logs: Path
    roles: list[Role] = field(default_factory=list)

    def add(self, name: str, slot: Worker, body: Body) -> None:
        """Start a process."""
        role = Role(name, slot, body)
        self.roles.append(role)
        self._start(role)

    def _start(self, role: Role) -> None:
        ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")
        others = [other.connection for other in self.roles if other.connection is not None]
        arguments = (role.body, theirs, [ours, *others], self._log(role))
        role.process = context.Process(target=_enter, args=arguments, daemon=True)
        sys.stdout.flush()
        sys.stderr.flush()
        role.process.start()
        theirs.close()
        role.connection, role.waiting_since = ours, None

    def _log(self, role: Role) -> Path:
        return self.logs / f"{role.name}-{role.slot}.log"

    def wait(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Serve everybody until ``condition`` holds (True) or ``deadline`` seconds have passed (False)."""
        end = time.monotonic() + deadline
        while not condition():
            if time.monotonic() >= end:
                return False
            self.serve(TICK)
        self._answer_polls()
        return True

    def serve(self, seconds: float) -> None:
        """Answer what comes within ``seconds``."""
        self._answer_polls()
        by_connection = {role.connection: role for role in self.roles if role.connection is not None}
        for ready in wait(list(by_connection), seconds):
            role = by_connection[ready]  # type: ignore[index]  # wait returns what it was given
            try:
                self._handle(role, json.loads(role.connection.recv_bytes(MAX_MESSAGE)))  # type: ignore[union-attr]
            except (EOFError, OSError):
                self._gone(role)
        self._answer_polls()

    def _handle(self, role: Role, message: dict[str, Any]) -> None:
        match message["op"]:
            case "submit":
                try:
                    answer: dict[str, Any] = {"index": self.sequencer.submit(message["entry"].encode("utf-8"))}
                except Refusal as error:
                    answer = {"refused": str(error)}
                self._reply(role, answer)
            case "poll":
                role.waiting_since = int(message["since"])
            case "tell":
                self.events.emit(message["kind"], **message["data"])

    def _answer_polls(self) -> None:
        for role in self.roles:
            since = role.waiting_since
            if role.connection is not None and since is not None and since < len(self.sequencer.log):
                role.waiting_since = None
                entries = self.sequencer.entries(since)[:MAX_ENTRIES]
                self._reply(role, {"entries": [entry.decode("utf-8") for entry in entries]})

    def _reply(self, role: Role, answer: dict[str, Any]) -> None:
        try:
            if role.connection is not None:
                role.connection.send_bytes(json.dumps(answer).encode("utf-8"))
        except OSError:
            self._gone(role)

    def _gone(self, role: Role) -> None:
        """A process ended: start it again, unless it had finished or keeps dying."""
        if role.connection is None or role.process is None:
            return
        role.connection.close()
        role.connection = role.waiting_since = None
        role.process.join()
        if role.process.exitcode != 0 and role.restarts < MAX_RESTARTS:
            role.restarts += 1
            self.events.emit("restart", role=role.name, worker=role.slot, exit=role.process.exitcode)
            self._start(role)
        elif role.process.exitcode != 0 and not any(r.connection for r in self.roles if r.name == role.name):
            raise RunFailed(
                f"every {role.name} process has ended, the last with: {_last_line(self._log(role))}",
                hint=f"its whole output is in {self._log(role)}",
            )

    def stop(self) -> None:
        """Let the processes end; those that do not are killed."""
        end = time.monotonic() + GRACE
        while any(role.connection for role in self.roles) and time.monotonic() < end:
            if self.sequencer.ledger.run_close is None:
                break
            self.serve(TICK)
        for role in self.roles:
            if role.connection is not None:
                role.connection.close()
                role.connection = None
        for role in self.roles:
            if role.process is not None:
                role.process.join(max(0.0, end - time.monotonic()))
                if role.process.is_alive():
                    role.process.kill()
                    role.process.join()


def _enter(body: Body, connection: Connection, inherited: Sequence[Connection], log: Path) -> None:
    """Life of a forked process. Ctrl-C is the conductor's business: it closes the pipes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A pipe ends when nobody holds its other side: the copies that came with the fork must go.
    for other in inherited:
        other.close()
    with log.open("ab", buffering=0) as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    try:
        body(PipeExchange(connection))
    except Stopped:
        pass
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _last_line(path: Path) -> str:
    lines = path.read_text("utf-8", "replace").splitlines() if path.is_file() else []
    return lines[-1][:200] if lines else "nothing"


def raise_interrupted(*_: object) -> None:
    """Signal handler that turns Ctrl-C and SIGTERM into a clean stop."""
    raise Interrupted("interrupted", hint="continue with: attestrain train --resume RUN")
