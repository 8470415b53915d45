"""The processes of a run on this machine, forked from the conductor, and the service through which all roles reach it.

Roles here and on other machines differ in nothing but who started them: both speak HTTP (`run.service`). The conductor
watches its own, starts those again that die, and does what the service has put into its mailbox.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import TypeVar

from attestrain.errors import RunFailed
from attestrain.record.names import Worker
from attestrain.run.events import EventLog
from attestrain.run.process import Body, Leash, live, signals_held
from attestrain.run.sequencer import Sequencer
from attestrain.run.service.server import Service

MAX_RESTARTS = 3
"""How often a process that dies is started again before the run goes on without it."""
TICK = 0.25
"""Seconds between looks at the clock while waiting."""
MOMENT = 0.02
"""Seconds between looks at work that another thread does: it stands in the way of the round."""
GRACE = 10.0
"""Seconds a process has to end by itself at the end of the run."""

T = TypeVar("T")


@dataclass(slots=True)
class Role:
    """A process: what it runs, how often it was started again, whether it lives, whether it died once too often."""

    name: str
    slot: Worker
    body: Body
    process: multiprocessing.process.BaseProcess | None = None
    restarts: int = 0
    alive: bool = False
    lost: bool = False


@dataclass(slots=True)
class LocalNetwork:
    """The service of a run and its processes on this machine.

    Args:
        sequencer: orders statements.
        events: told what happens.
        logs: folder for the processes' output.
        service: how roles reach the sequencer. It starts when the conductor first looks at its mail, so that processes
            added before that are forked from one without further threads.
        tended: called again and again, to look after what else belongs to the run.
    """

    sequencer: Sequencer
    events: EventLog
    logs: Path
    service: Service
    roles: list[Role] = field(default_factory=list)
    tended: list[Callable[[], None]] = field(default_factory=list)
    leash: Leash = field(default_factory=Leash)

    def add(self, name: str, slot: Worker, body: Body) -> None:
        """Start a process."""
        role = Role(name, slot, body)
        self.roles.append(role)
        self._start(role)

    def _start(self, role: Role) -> None:
        context = multiprocessing.get_context("fork")
        role.process = context.Process(target=live, args=(role.body, self.leash, self._log(role)), daemon=True)
        sys.stdout.flush()
        sys.stderr.flush()
        # A signal between the fork and the child's first line would run the conductor's handler in the child, and a
        # lock that a thread of the service holds would stay locked in it for ever.
        with signals_held(), self.service.paused():
            role.process.start()
        role.alive = True

    def _log(self, role: Role) -> Path:
        return self.logs / f"{role.name}-{role.slot}.log"

    def wait(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Serve everybody until ``condition`` holds (True) or ``deadline`` seconds have passed (False)."""
        end = time.monotonic() + deadline
        while not condition():
            if time.monotonic() >= end:
                return False
            self.serve(TICK)
        return True

    def meanwhile(self, work: Callable[[], T]) -> T:
        """Serve everybody until ``work``, done in another thread, has its result (or raises)."""
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(work)
            while not future.done():
                self.serve(MOMENT)
            return future.result()

    def serve(self, seconds: float) -> None:
        """Do what comes within ``seconds``."""
        self.service.start()
        for tend in self.tended:
            tend()
        ends = {role.process.sentinel: role for role in self.roles if role.alive and role.process is not None}
        for ready in wait([self.service.mailbox.fileno(), *ends], seconds):
            if ready in ends:
                self._gone(ends[ready])
        self.service.mailbox.serve()

    def _gone(self, role: Role) -> None:
        """A process ended: start it again, unless it had finished or keeps dying."""
        if role.process is None:
            return
        role.alive = False
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
        left = any(other.alive for other in self.roles if other.name == "worker")
        if role.name == "worker" and not left and self.sequencer.ledger.run_close is None:
            raise RunFailed(
                f"every worker process has ended, the last with: {reason}",
                hint=f"its whole output is in {self._log(role)}",
            )

    def lost(self, name: str) -> set[Worker]:
        """Slots of the processes called ``name`` that died too often to be started again."""
        return {role.slot for role in self.roles if role.name == name and role.lost}

    def stop(self) -> None:
        """End the processes: when the run is closed they do so by themselves, otherwise because we let them go."""
        with signals_held():
            end = time.monotonic() + GRACE
            while self.sequencer.ledger.run_close is not None and time.monotonic() < end:
                if not any(role.alive for role in self.roles):
                    break
                self.serve(TICK)
            self.leash.let_go()
            for role in self.roles:
                if role.process is not None:
                    role.process.join(max(0.0, end - time.monotonic()))
                    if role.process.is_alive():
                        role.process.kill()
                        role.process.join()

    def close(self) -> None:
        """End the service: readers elsewhere may learn of the end of the run until then."""
        self.service.stop()


def _last_line(path: Path) -> str:
    lines = path.read_text("utf-8", "replace").splitlines() if path.is_file() else []
    return lines[-1][:200] if lines else "nothing"
