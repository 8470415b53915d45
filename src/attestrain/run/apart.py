"""Work in a process of its own: what the conductor may not do itself.

A process that has initialised CUDA cannot fork children that use it, and the conductor forks its roles at any time.
What it needs a GPU for, describing the environment and evaluating, a fork of it does and then ends.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from multiprocessing.connection import Connection
from typing import TypeVar

from attestrain.errors import RunFailed
from attestrain.run.process import STOPPING, forget_sockets, signals_held

T = TypeVar("T")

Pause = Callable[[], AbstractContextManager[None]]
"""Holds this process's other threads where it can be forked."""


def apart(work: Callable[[], T], pause: Pause = nullcontext) -> T:
    """What ``work`` gives or raises, done in a fork of this process.

    Raises:
        RunFailed: the process ended without an answer.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(work, theirs), daemon=True)
    with signals_held(), pause():
        child.start()
    theirs.close()
    try:
        result, error = ours.recv()
    except EOFError:
        child.join()
        raise RunFailed(f"a process that worked for this one ended with {child.exitcode} and no answer") from None
    finally:
        ours.close()
        child.kill()
        child.join()
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def _answer(work: Callable[[], object], to: Connection) -> None:
    """Life of the fork: stopping is its parent's business, which ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    forget_sockets()
    to.send_bytes(_outcome(work))
    os._exit(0)


def _outcome(work: Callable[[], object]) -> bytes:
    """The result of ``work`` and its error, of which one is None, in a form that the other end can read."""
    try:
        return pickle.dumps((work(), None))
    except Exception as error:
        try:
            data = pickle.dumps((None, error))
            pickle.loads(data)  # some errors are written and cannot be read
        except Exception:
            data = pickle.dumps((None, RunFailed(f"{type(error).__name__}: {error}")))
        return data
