"""A thread beside the one that trains: with a delay, a round is published while the next one is trained.

It gets one job at a time, with everything that the job needs: the thread that trains goes on changing its own view.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from attestrain.record.names import Round
from attestrain.run.effort import Effort

Span = tuple[float, float]
"""When something began and ended, by this process's monotonic clock."""


class Background:
    """Does one job at a time.

    Args:
        effort: of this process; what is done here is not what its main thread does meanwhile.
    """

    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        self._thread: Thread | None = None
        self._error: BaseException | None = None
        self._span: Span = (0.0, 0.0)

    @property
    def busy(self) -> bool:
        """Whether a job is being done."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, work: Callable[[], object]) -> None:
        """Begin a job; the one before must have been finished."""
        if self._thread is not None:
            raise AssertionError("a job is begun before the one before is finished")
        # A process that is told to end does not wait for it: whatever it leaves half done is done again.
        self._thread = Thread(target=self._do, args=(work,), daemon=True)
        self._thread.start()

    def finish(self) -> Span | None:
        """Wait for the job; returns when it ran, None if there was none.

        Raises:
            BaseException: whatever the job raised.
        """
        if self._thread is None:
            return None
        self._thread.join()
        self._thread, error, self._error = None, self._error, None
        if error is not None:
            raise error
        return self._span

    def _do(self, work: Callable[[], object]) -> None:
        begin = time.monotonic()
        try:
            with self._effort.beside():
                work()
        except BaseException as error:
            self._error = error  # whoever waits gets it
        self._span = begin, time.monotonic()


class Behind:
    """What of publishing and deriving lay behind training, since the last report."""

    def __init__(self) -> None:
        self._round = Round(0)
        self._training: Span = (0.0, 0.0)
        self._seconds = self._hidden = 0.0

    @contextmanager
    def training(self, round_: Round) -> Iterator[None]:
        """What is added during this, or afterwards and ran meanwhile, is hidden."""
        begin = time.monotonic()
        self._round, self._training = round_, (begin, math.inf)
        try:
            yield
        finally:
            self._training = begin, time.monotonic()

    def add(self, span: Span) -> None:
        """Something else was done."""
        self._seconds += span[1] - span[0]
        self._hidden += common(span, self._training)

    def report(self) -> dict[str, Any]:
        """Data of an ``overlap`` event: the round last trained and the seconds that took, and what was added."""
        begin, end = self._training
        spans = {"training": end - begin, "seconds": self._seconds, "hidden": self._hidden}
        self._seconds = self._hidden = 0.0
        return {"round": self._round, **{name: round(seconds, 4) for name, seconds in spans.items()}}


def common(one: Span, other: Span) -> float:
    """Seconds that lie in both."""
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
