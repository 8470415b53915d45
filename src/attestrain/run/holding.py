"""Holding a run folder: one conductor at a time, and signals that stop it cleanly."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from attestrain.errors import Interrupted, UsageError
from attestrain.run.folder import RunFolder
from attestrain.run.process import STOPPING


def make_folder(folder: Path) -> bool:
    """Make ``folder`` unless it is there; whether it was made."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise _unusable(folder, error) from error
    return True


def _unusable(folder: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot use run folder {folder}: {error.strerror}", hint="choose another with --folder")


@contextmanager
def held(run: RunFolder, command: str | None = None) -> Iterator[None]:
    """Hold the run folder, so that nobody else conducts this run; turn SIGINT and SIGTERM into a clean stop.

    Args:
        run: what to hold.
        command: goes on with the run; by default `attestrain train --resume`.
    """
    try:
        handle = os.open(run.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(run.path, error) from error
    handlers = {}
    try:
        _lock(run, handle)
        handlers = {number: signal.signal(number, _interrupter(run, command)) for number in STOPPING}
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(handle)


def _lock(run: RunFolder, handle: int) -> None:
    # A record lock and not flock: forked roles must not hold it on when the conductor is killed.
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        hint = "stop it, or wait until it has ended"
        raise UsageError(f"{run.path} is in use by another process", hint=hint) from error


def _interrupter(run: RunFolder, command: str | None) -> Callable[[int, FrameType | None], None]:
    """Signal handler that turns Ctrl-C and SIGTERM into a clean stop."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        begun = run.config.is_file()
        hint = (
            f"continue with: {command or f'attestrain train --resume {run.path}'}"
            if begun
            else "it had not begun: start it again"
        )
        raise Interrupted("interrupted", hint=hint)

    return interrupt
