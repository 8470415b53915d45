"""Tiny runs in processes of their own, to be killed: started by a fork, followed by events, read from their logs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attestrain.errors import AttestrainError
from attestrain.record.statements import Aggregated, Receipt, Signed, Statement
from attestrain.run.config import RunConfig, make_config
from attestrain.run.session import resume, train
from attestrain.store.log import MAGIC, decode_record
from attestrain.verify.policy import Policy
from attestrain.verify.verdict import Verdict
from attestrain.verify.verifier import verify_folder

PATIENCE = 120.0
"""Seconds until a test gives up on a run: these runs take two on an idle machine."""


def tiny_config(**sections: Any) -> RunConfig:
    """Three workers, one auditor, a model of a thousand parameters. ``sections`` change settings."""
    settings: dict[str, Any] = {
        "run": {"name": "tiny", "seed": 1},
        "algorithm": {"preset": "ternary-muon"},
        "task": {"config": {"width": 16, "layers": 1, "heads": 2, "hidden": 32}},
        "dataset": {"source": "slice", "sequence_tokens": 32},
        "schedule": {"rounds": 4, "steps": 4, "segment_steps": 2, "batch": 2, "workers": 3},
        "inner": {"warmup": 2},
        "audit": {"fraction": 0.5},
        "local": {"keep_states_every": 2, "validation_sequences": 8},
    }
    for name, section in sections.items():
        settings[name] = section if isinstance(section, list) else settings.get(name, {}) | section
    return make_config(settings, "test")


class Running:
    """A conductor in a session of its own: its whole process tree is one process group.

    Args:
        folder: the run folder.
        config: trains it from the beginning; None resumes it.
    """

    def __init__(self, folder: Path, config: RunConfig | None = None) -> None:
        self.folder = folder
        self.status: int | None = None
        self._offset = _read(folder / "events.jsonl").rfind(b"\n") + 1
        self.pid = os.fork()
        if self.pid == 0:
            self._conduct(config)

    def _conduct(self, config: RunConfig | None) -> None:
        code = 1
        try:
            os.setsid()
            self.folder.mkdir(exist_ok=True)
            output = os.open(self.folder / "conductor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(output, 1)
            os.dup2(output, 2)
            if config is None:
                resume(self.folder, on_event=lambda event: None)
            else:
                train(config, self.folder, on_event=lambda event: None)
            code = 0
        except AttestrainError as error:
            os.write(2, f"{error}\n{error.hint}\n".encode())
            code = int(error.exit_code)
        finally:
            os._exit(code)

    def ended(self) -> bool:
        """Whether the conductor has ended; then `status` says how."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def events(self, kind: str, **data: object) -> list[dict[str, Any]]:
        """Events since this conductor began, of a kind and with these particulars."""
        lines = _read(self.folder / "events.jsonl")[self._offset :]
        found = [json.loads(line) for line in lines[: lines.rfind(b"\n") + 1].splitlines()]
        return [event for event in found if event["kind"] == kind and data.items() <= event.items()]

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for something, or for the end of the conductor."""
        wait_for(lambda: condition() or self.ended())

    def wait(self) -> int:
        """Wait for its end; returns the exit code, or minus the signal."""
        wait_for(self.ended)
        assert self.status is not None
        return self.status

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the whole tree."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def members(self) -> set[int]:
        """Living processes of the tree, its conductor included."""
        return {pid for pid, (_, group, state) in _processes().items() if group == self.pid and state != "Z"}

    def children(self) -> list[int]:
        """Children of the conductor in the order in which they were started: workers, auditors, restarted ones."""
        processes = _processes().items()
        return sorted(pid for pid, (parent, _, state) in processes if parent == self.pid and state != "Z")

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill(signal.SIGCONT)
        self.kill()
        self.wait()


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something holds, often enough to hit a moment."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


def _processes() -> dict[int, tuple[int, int, str]]:
    """Parent, process group and state of every process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            found[int(path.parent.name)] = (int(fields[1]), int(fields[2]), fields[0])
    return found


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def entries(folder: Path) -> list[bytes]:
    """The transcript as it lies on disk."""
    data, at, found = _read(folder / "journal" / "entries.log"), len(MAGIC), []
    while data and (record := decode_record(data, at)) is not None:
        entry, at = record
        found.append(entry)
    return found


def statements(folder: Path) -> list[Statement]:
    """The transcript, read."""
    return [Signed.from_bytes(entry).statement for entry in entries(folder)]


def checkpoints(folder: Path) -> list[str]:
    """Digest of every checkpoint."""
    return [item.checkpoint.hex() for item in statements(folder) if isinstance(item, Aggregated)]


def judged(folder: Path) -> Verdict:
    """The verdict on a run's bundle under the policy that the run wrote."""
    policy = Policy.from_toml((folder / "policy.toml").read_text("utf-8"))
    return verify_folder(folder / "bundle", policy)


def slots(folder: Path) -> list[tuple[int, int]]:
    """Round and worker of every receipt."""
    return [(item.round, item.worker) for item in statements(folder) if isinstance(item, Receipt)]
