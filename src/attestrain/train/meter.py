"""Who counts the processor time of a worker-round: inner steps apart from all that makes them checkable."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Meter(Protocol):
    """Told what the processor is busy with."""

    def on(self, kind: str) -> AbstractContextManager[None]:
        """What happens inside is ``kind``."""

    def beside(self) -> AbstractContextManager[None]:
        """What this thread does inside is not what another thread is `on`."""


class Unmetered:
    """Counts nothing."""

    def on(self, kind: str) -> AbstractContextManager[None]:
        """Nothing is counted."""
        return nullcontext()

    def beside(self) -> AbstractContextManager[None]:
        """Nothing is counted."""
        return nullcontext()
