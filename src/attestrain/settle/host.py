"""The process that an embedded chain is: started so that it never outlives us, on the loopback, in a folder of its own.

On Linux the kernel kills anvil when the thread that started it ends, however that ends. Elsewhere the next start finds
the process that was left behind by the number it wrote down, and ends it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from attestrain.errors import Unreachable, UsageError
from attestrain.settle.rpc import Rpc

HOST = "127.0.0.1"
START_SECONDS = 60.0
"""Longest that it may take to answer: it loads its state first."""
STOP_SECONDS = 5.0
"""Longest that it may take to end when told to."""
LOOK = 0.01
"""Seconds between looks whether it answers."""
LOG, LOCK, PID = "anvil.log", "lock", "anvil.pid"
MAX_LOG = 1 << 20
"""Most bytes of log kept from earlier starts."""
GENESIS = 1_767_225_600
"""Time of the first block, 2026-01-01: if it depended on the start, every start would leave another first block."""
FLAGS = (
    "--timestamp",
    str(GENESIS),
    "--hardfork",
    "osaka",
    "--accounts",
    "0",
    "--no-mining",
    "--prune-history",
    "64",
    "--quiet",
)
"""No accounts of its own, whose keys everyone knows; no mining but at our word; the states of the last 64 blocks in
memory and none on disk, where anvil would leave them in the user's home."""
LEASH = (
    "import ctypes, os, signal, sys; "
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL) if sys.platform == 'linux' else None; "
    "os.getppid() == int(sys.argv[1]) or sys.exit('parent is gone'); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)
"""What runs first in the new process: ask to be killed with its parent (PR_SET_PDEATHSIG is 1), then become anvil.
A program of its own rather than code between fork and exec, which is not safe in a process with threads."""


class Host:
    """One anvil after another, on one port, for one folder.

    Args:
        program: anvil.
        folder: where it lives; one process at a time.
        port: to listen on; 0 for any that is free.
        chain_id: of the chain.

    Raises:
        UsageError: the folder is in use, or cannot be used.
    """

    def __init__(self, program: Path, folder: Path, port: int, chain_id: int) -> None:
        self._program = program
        self._folder = folder
        self._chain_id = chain_id
        self._owner = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = _hold(folder)
        except OSError as error:
            raise UsageError(f"chain folder {folder} cannot be used: {error.strerror}") from error
        self._end_stray()
        self.port = port or _free_port()
        self.url = f"http://{HOST}:{self.port}"

    @property
    def ours(self) -> bool:
        """Whether this is the process that started it, and not a fork of that."""
        return os.getpid() == self._owner

    @property
    def pid(self) -> int:
        """Process id of anvil."""
        return -1 if self._process is None else self._process.pid

    @property
    def exit(self) -> int | None:
        """Exit status of anvil; None while it runs."""
        return 0 if self._process is None else self._process.poll()

    def start(self, state: Path | None) -> None:
        """Start anvil, with the state in this file, and wait until it answers.

        Raises:
            Unreachable: it does not.
        """
        self._stop()
        _require_free(self.port)
        where = ["--host", HOST, "--port", str(self.port), "--chain-id", str(self._chain_id)]
        command = [str(self._program), *where, *FLAGS, *(["--load-state", str(state)] if state else [])]
        leash = [sys.executable, "-I", "-S", "-c", LEASH, str(os.getpid())]
        path = self._folder / LOG
        mode = "ab" if path.is_file() and path.stat().st_size < MAX_LOG else "wb"
        with path.open(mode) as log:
            # A session of its own: Ctrl-C reaches the whole process group, but ending anvil is our business.
            self._process = subprocess.Popen(
                [*leash, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        (self._folder / PID).write_text(f"{self._process.pid} {self.port}\n", encoding="ascii")
        self._await()

    def _await(self) -> None:
        rpc, end = Rpc(self.url), time.monotonic() + START_SECONDS
        while True:
            try:
                rpc.number("eth_chainId")
            except Unreachable as error:
                if self.exit is not None or time.monotonic() > end:
                    self._stop()
                    hint = "another program may have its port" if self.exit else None
                    raise Unreachable(f"anvil does not start: see {self._folder / LOG}", hint=hint) from error
                time.sleep(LOOK)
                continue
            if self.exit is not None:
                raise Unreachable(f"port {self.port} belongs to another program", hint="choose another port")
            return

    def close(self) -> None:
        """End anvil and give the folder back; in a fork this does nothing."""
        if self.ours:
            self._stop()
            (self._folder / PID).unlink(missing_ok=True)
            os.close(self._lock)

    def _stop(self) -> None:
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _end_stray(self) -> None:
        """End an anvil that outlived whoever held this folder before, where the kernel has not done so."""
        with suppress(OSError, ValueError, subprocess.SubprocessError):
            pid, port = map(int, (self._folder / PID).read_text(encoding="ascii").split())
            told = subprocess.run(
                ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, timeout=5
            )
            if f"--host {HOST} --port {port} " in told.stdout:
                os.kill(pid, signal.SIGKILL)


def _hold(folder: Path) -> int:
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # A record lock belongs to this process alone: forked roles do not hold it on.
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise UsageError(f"the chain in {folder} is in use by another process", hint="stop that process") from error
    return handle


def _require_free(port: int) -> None:
    """Another program that answers on our port would be taken for our chain."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            hint = "choose another port, or end that program"
            raise Unreachable(f"port {port} cannot be had: {error.strerror}", hint=hint) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
