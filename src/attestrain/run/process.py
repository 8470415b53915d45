"""The life of a role's process on this machine: forked from the conductor, ended with it.

Forking after the engine is imported costs milliseconds where a fresh interpreter costs seconds. A role shares nothing
with the conductor afterwards: it dials the sequencer's service like a role on any other machine, and holds one end of a
pipe only to notice that the conductor has gone.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attestrain.run.exchange import Stopped

STOPPING = (signal.SIGINT, signal.SIGTERM)
"""Signals that ask a run to stop."""
STANDARD = 3
"""File descriptors below this one are standard input, output and errors."""

Body = Callable[[], None]
"""What a role does, from its first line to its last."""


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold back the stopping signals: one that arrives meanwhile takes effect at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Leash:
    """A pipe that nobody writes to: it ends for all who read it when the one who made it lets go or dies."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def let_go(self) -> None:
        """End everybody who is on it."""
        for end in (self.reading, self.writing):
            with suppress(OSError):
                os.close(end)


def live(body: Body, leash: Leash, log: Path) -> None:
    """Life of a forked process, which starts with the stopping signals held back.

    Args:
        body: what it does.
        leash: ends this process.
        log: file that its output is added to.
    """
    # Ctrl-C reaches the whole process group, but stopping is the conductor's business: it lets go of the leash.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    # The leash ends when nobody holds its writing end: the copy that came with the fork must go.
    os.close(leash.writing)
    forget_sockets()
    with log.open("ab", buffering=0) as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    threading.Thread(target=_end_with, args=(leash.reading,), daemon=True).start()
    try:
        body()
    except Stopped:
        pass
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def forget_sockets() -> None:
    """Let go of every socket that came with the fork: the service's and its clients' must end with the conductor.

    Their numbers stay taken, by /dev/null, so that objects of the conductor's that still name them can do no harm.
    """
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):
            if int(name) >= STANDARD and stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                os.dup2(nothing, int(name), inheritable=False)
    os.close(nothing)


def _end_with(leash: int) -> None:
    """End this process as soon as the conductor lets go, in the middle of whatever it does.

    A role must survive being killed at any moment anyway, and one that trains on for nobody only stands in the way of
    the run that is resumed in its folder.
    """
    poll = select.poll()
    poll.register(leash, 0)
    poll.poll()
    os._exit(0)
