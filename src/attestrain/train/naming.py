"""Names of a round's states, found while the next segment is computed.

A name is SHA-256 over the whole state, parameters and optimizer buffers. States are never written to, so a second
thread can read one while the engine makes the next; both let go of the interpreter in their inner loops.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from attestrain.record.blob import BlobRef
from attestrain.train.engine import Engine
from attestrain.train.meter import Meter, Unmetered
from attestrain.train.state import State, changed_refs, state_refs

LEAST_BESIDE = 1 << 24
"""Bytes of a state from which naming it takes long enough (some 20 ms) to be worth another thread."""
FREE_CORE = 0.75
"""Part of a core that must be idle for naming beside training to save time."""


def worth_a_thread(engine: Engine) -> bool:
    """Whether states are large, and a core is idle to name them: always so beside a GPU, which does the training.

    The load average tells how many cores are busy, this process's own included. A wrong guess costs time alone.
    """
    if sum(engine.spec.state.values()) < LEAST_BESIDE:
        return False
    return engine.device.is_cuda or (os.cpu_count() or 1) - os.getloadavg()[0] >= FREE_CORE


class Names:
    """Content addresses of states, which are added in order; a context, which ends its thread.

    Args:
        beside: on a thread of its own instead of at once. It is one, which keeps the order.
        meter: told that what the thread does is not what the engine does meanwhile.
    """

    def __init__(self, *, beside: bool, meter: Meter | None = None) -> None:
        self._meter = meter or Unmetered()
        self._thread = ThreadPoolExecutor(1) if beside else None
        self._pending: list[Future[None]] = []
        self._named: list[dict[str, BlobRef]] = []
        self._last: State = {}

    def __enter__(self) -> Names:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def add(self, state: State) -> None:
        """Name a state, sooner or later."""
        if self._thread is None:
            self._name(state)
        else:
            self._pending.append(self._thread.submit(self._name_beside, state))

    def all(self) -> list[dict[str, BlobRef]]:
        """The names of all states, once they are known."""
        for pending in self._pending:
            pending.result()
        return self._named

    def _name_beside(self, state: State) -> None:
        with self._meter.beside():
            self._name(state)

    def _name(self, state: State) -> None:
        self._named.append(changed_refs(state, self._last, self._named[-1]) if self._named else state_refs(state))
        self._last = state
