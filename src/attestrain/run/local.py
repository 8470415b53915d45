"""The local network: worker and auditor processes forked on this machine, each on a pipe to the conductor.

Forking after the engine is imported costs milliseconds where a fresh interpreter costs seconds. The same roles will
talk HTTP to a sequencer elsewhere through the same `Exchange`.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar

from attestrain.errors import FormatError, RunFailed
from attestrain.record.canonical import check_nesting
from attestrain.record.names import Worker
from attestrain.run.events import EventLog
from attestrain.run.exchange import Refusal
from attestrain.run.pipe import MAX_MESSAGE, Body, live, signals_held
from attestrain.run.sequencer import Sequencer

ANSWER_BYTES = 1 << 16
"""An answer is full beyond this; the reader polls again. It fits into a pipe, so a reader that hangs stops nobody."""
MAX_RESTARTS = 3
"""How often a process that dies is started again before the run goes on without it."""
TICK = 0.25
"""Seconds between looks at the clock while waiting."""
MOMENT = 0.02
"""Seconds between looks at work that another thread does: it stands in the way of the round."""
GRACE = 10.0
"""Seconds a process has to end by itself at the end of the run."""


T = TypeVar("T")
TOLD = {"worker": ("segment", "cpu"), "auditor": ("finding", "unanswered", "cpu"), "solo": ("solo",)}
"""What each role may report; anything else would forge what watchers see of others."""


@dataclass(slots=True)
class Role:
    """A process: what it runs, its pipe, where it waits in the transcript, whether it died once too often."""

    name: str
    slot: Worker
    body: Body
    process: multiprocessing.process.BaseProcess | None = None
    connection: Connection | None = None
    waiting_since: int | None = None
    restarts: int = 0
    lost: bool = False


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
        role.process = context.Process(target=live, args=arguments, daemon=True)
        sys.stdout.flush()
        sys.stderr.flush()
        # A signal between the fork and the child's first line would run the conductor's handler in the child.
        with signals_held():
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

    def meanwhile(self, work: Callable[[], T]) -> T:
        """Serve everybody until ``work``, done in another thread, has its result (or raises)."""
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(work)
            while not future.done():
                self.serve(MOMENT)
            return future.result()

    def serve(self, seconds: float) -> None:
        """Answer what comes within ``seconds``."""
        self._answer_polls()
        by_connection = {role.connection: role for role in self.roles if role.connection is not None}
        for ready in wait(list(by_connection), seconds):
            role = by_connection[ready]  # type: ignore[index]  # wait returns what it was given
            try:
                data = role.connection.recv_bytes(MAX_MESSAGE)  # type: ignore[union-attr]
            except (EOFError, OSError):
                self._gone(role)
                continue
            try:
                check_nesting(data)
                self._handle(role, json.loads(data))
            except (ValueError, KeyError, TypeError, AttributeError, FormatError) as error:
                self._reply(role, {"refused": f"malformed message: {error}"[:200]})
        self._answer_polls()

    def _handle(self, role: Role, message: dict[str, Any]) -> None:
        match message["op"]:
            case "submit":
                try:
                    answer: dict[str, Any] = {"index": self.sequencer.submit(message["entry"].encode("utf-8"))}
                except Refusal as error:
                    answer = {"refused": str(error)}
                    self.events.emit("refused", role=role.name, worker=role.slot, detail=str(error))
                self._reply(role, answer)
            case "poll":
                role.waiting_since = int(message["since"])
            case "tell":
                if message["kind"] in TOLD.get(role.name, ()):
                    self.events.emit(message["kind"], **message["data"])

    def _answer_polls(self) -> None:
        for role in self.roles:
            since = role.waiting_since
            if role.connection is not None and since is not None and since < len(self.sequencer.log):
                role.waiting_since = None
                self._reply(role, {"entries": self._some_entries(since)})

    def _some_entries(self, since: int) -> list[str]:
        """Entries from ``since`` on, as many as an answer holds and at least one."""
        entries, size = [], 0
        for entry in self.sequencer.entries(since):
            entries.append(entry.decode("utf-8"))
            size += len(entry)
            if size >= ANSWER_BYTES:
                break
        return entries

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
        if role.process.exitcode == 0:
            return
        if role.restarts < MAX_RESTARTS:
            role.restarts += 1
            self.events.emit("restart", role=role.name, worker=role.slot, exit=role.process.exitcode)
            self._start(role)
            return
        role.lost = True
        reason = _last_line(self._log(role))
        self.events.emit("lost", role=role.name, worker=role.slot, exit=role.process.exitcode, detail=reason)
        self._require_workers(role, reason)

    def _require_workers(self, role: Role, reason: str) -> None:
        left = any(other.connection is not None for other in self.roles if other.name == "worker")
        if role.name == "worker" and not left and self.sequencer.ledger.run_close is None:
            raise RunFailed(
                f"every worker process has ended, the last with: {reason}",
                hint=f"its whole output is in {self._log(role)}",
            )

    def lost(self, name: str) -> set[Worker]:
        """Slots of the processes called ``name`` that died too often to be started again."""
        return {role.slot for role in self.roles if role.name == name and role.lost}

    def stop(self) -> None:
        """End the processes: when the run is closed they do so by themselves, otherwise because we hang up."""
        with signals_held():
            end = time.monotonic() + GRACE
            while self.sequencer.ledger.run_close is not None and time.monotonic() < end:
                if not any(role.connection for role in self.roles):
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


def _last_line(path: Path) -> str:
    lines = path.read_text("utf-8", "replace").splitlines() if path.is_file() else []
    return lines[-1][:200] if lines else "nothing"
