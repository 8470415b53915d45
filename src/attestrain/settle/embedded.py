"""The embedded chain: an anvil of one's own on the loopback, whose state is on disk before anything rests on it.

`EmbeddedChain.finalise` asks anvil for its whole state, blocks included, and writes it durably; a height counts as
final from then on. Whatever is killed, the next start loads the last such state: all blocks up to it have the same
hashes, and what came after is sent again by whoever sent it. It is one operator's chain: what rests on it reads
``local``.
"""

from __future__ import annotations

import ctypes
import fcntl
import gzip
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from attestrain.errors import Unreachable, UsageError
from attestrain.record.names import Address
from attestrain.settle.anvil import find_anvil
from attestrain.settle.rpc import Rpc
from attestrain.store.atomic import write_atomic

CHAIN_ID = 31_337
HOST = "127.0.0.1"
START_SECONDS = 30.0
"""Longest that it may take to answer: it loads its state first."""
STATE = "state.json"
LOG = "anvil.log"
FLAGS = ("--hardfork", "osaka", "--accounts", "0", "--quiet")
"""No accounts of its own: their keys are known to everyone."""
_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class EmbeddedChain:
    """A running chain. Use as a context, which ends it durably.

    Args:
        folder: where it lives; one process at a time.
        port: to listen on; any that is free by default.

    Raises:
        UsageError: the folder is in use, or anvil cannot be had here.
        Unreachable: it does not start.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = _hold(folder)
        self.port = port or _free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._process = self._start()
        self._rpc = Rpc(self.url)
        self._await()

    @property
    def pid(self) -> int:
        """Process id of anvil."""
        return self._process.pid

    def _start(self) -> subprocess.Popen[bytes]:
        state = self._folder / STATE
        command = [str(find_anvil()), "--host", HOST, "--port", str(self.port), "--chain-id", str(CHAIN_ID), *FLAGS]
        command += ["--load-state", str(state)] if state.is_file() else []
        with (self._folder / LOG).open("ab") as log:
            # Ctrl-C reaches the whole process group, but stopping anvil is our business.
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_us,
            )

    def _await(self) -> None:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self._rpc.number("eth_chainId")
                return
            except Unreachable as error:
                if self._process.poll() is not None or time.monotonic() > end:
                    self.close()
                    raise Unreachable(f"the embedded chain does not start: see {self._folder / LOG}") from error
                time.sleep(0.02)

    def alive(self) -> bool:
        """Whether anvil still runs."""
        return self._process.poll() is None

    @property
    def exit(self) -> int | None:
        """Exit status of anvil; None while it runs."""
        return self._process.poll()

    def restart(self) -> None:
        """Start anvil again on the same port, after it was killed, from the last durable state."""
        self._process.kill()
        self._process.wait()
        self._process = self._start()
        self._await()

    def finalise(self) -> int:
        """Make everything up to the latest block final: write the state durably. Returns the block's number."""
        number = self._rpc.number("eth_blockNumber")
        write_atomic(self._folder / STATE, gzip.decompress(self._rpc.bytes("anvil_dumpState")))
        return number

    def fund(self, address: Address, amount: int) -> None:
        """Set an account's coins, in wei."""
        self._rpc.ask("anvil_setBalance", address, hex(amount))

    def mine(self, blocks: int = 1) -> None:
        """Mine empty blocks."""
        self._rpc.ask("anvil_mine", hex(blocks))

    def close(self) -> None:
        """End it; what was not made final is lost, as in a crash."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _hold(folder: Path) -> int:
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # A record lock belongs to this process alone: forked roles do not hold it on.
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise UsageError(f"the chain in {folder} is in use by another process", hint="stop that process") from error
    return handle


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _die_with_us() -> None:
    """In the child, on Linux: anvil ends with its parent, also when that is killed."""
    if _LIBC is not None:
        _LIBC.prctl(_PDEATHSIG, signal.SIGKILL)
