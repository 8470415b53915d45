"""A network of separate programs, as people start them, to be watched and killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.faults.chaos import wait_for

RUN = """
[run]
name = "net"
seed = 1
[task.config]
width = 16
layers = 1
heads = 2
hidden = 32
[dataset]
source = "slice"
sequence_tokens = 32
[schedule]
rounds = {rounds}
steps = {steps}
segment_steps = 100
batch = 2
workers = 3
[inner]
warmup = 2
[audit]
fraction = 0.5
[local]
keep_states_every = 4
validation_sequences = 8
deadline = 60.0
"""
COMMAND = (sys.executable, "-m", "attestrain.cli")


class Program:
    """One `attestrain` command; its output in a file."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*COMMAND, *arguments],
                cwd=folder,
                stdout=output,
                stderr=output,
                env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
            )

    def said(self, text: str) -> bool:
        return text in self.log.read_text()

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for something; fails if this program ends before."""
        wait_for(lambda: condition() or self.process.poll() is not None)
        assert condition(), self.log.read_text()

    def wait(self) -> int:
        wait_for(lambda: self.process.poll() is not None)
        assert self.process.returncode is not None
        return self.process.returncode

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(number)


class Net:
    """A prepared network and the programs that take part in it."""

    def __init__(self, folder: Path, *, rounds: int, steps: int, options: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.run = folder / "net"
        self.programs: list[Program] = []
        (folder / "RUN.toml").write_text(RUN.format(rounds=rounds, steps=steps))
        made = subprocess.run(
            [*COMMAND, "network", "init", "RUN.toml", "--folder", "net", "--json", *options],
            cwd=folder,
            capture_output=True,
            check=True,
        )
        self.document = json.loads(made.stdout)

    def start(self, name: str, *arguments: str) -> Program:
        self.programs.append(Program(self.folder, name, *arguments))
        return self.programs[-1]

    def node(self, *options: str) -> Program:
        return self.start("node", "node", "--folder", "net", *options)

    def join(self, slot: int, role: str = "worker") -> Program:
        invite, own = f"net/invites/{role}-{slot}.json", f"{role}-{slot}"
        return self.start(own, "join", invite, "--folder", own, "--fingerprint", self.document["fingerprint"])

    def events(self, kind: str, **data: object) -> list[dict[str, Any]]:
        path = self.run / "events.jsonl"
        lines = path.read_bytes() if path.is_file() else b""
        found = [json.loads(line) for line in lines[: lines.rfind(b"\n") + 1].splitlines()]
        return [event for event in found if event["kind"] == kind and data.items() <= event.items()]


@contextmanager
def network(folder: Path, **settings: Any) -> Iterator[Net]:
    net = Net(folder, **settings)
    try:
        yield net
    finally:
        for program in net.programs:
            if program.process.poll() is None:
                program.kill()
                program.process.wait()
