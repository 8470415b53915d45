"""From the service's thread to the conductor's: what changes the run is done by one thread, in the order it came in."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from attestrain.errors import AttestrainError, RunFailed
from attestrain.run.exchange import Refusal
from attestrain.run.process import signals_held
from attestrain.run.service.limits import MAX_LETTERS

T = TypeVar("T")
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)
"""What hostile bytes may raise where a check is missing: the letter is refused, and the run goes on."""


class Busy(AttestrainError):
    """The conductor has more to do than it will take."""


@dataclass(slots=True)
class _Letter:
    work: Callable[[], Any]
    answer: asyncio.Future[Any] | None


class Mailbox:
    """Work for the conductor's thread. A file descriptor tells that there is some."""

    def __init__(self) -> None:
        self._letters: deque[_Letter] = deque()
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)

    def fileno(self) -> int:
        """Readable while there are letters."""
        return self._reading

    def __len__(self) -> int:
        return len(self._letters)

    async def ask(self, work: Callable[[], T]) -> T:
        """Have ``work`` done by the conductor; from the service's loop.

        Raises:
            Busy: too much is waiting.
            AttestrainError: what ``work`` raised.
        """
        if len(self._letters) >= MAX_LETTERS:
            raise Busy("the sequencer is busy")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._letters.append(_Letter(work, answer))
        # A full pipe has woken the conductor already.
        with contextlib.suppress(BlockingIOError):
            os.write(self._writing, b"\0")
        return await answer

    def leave(self, work: Callable[[], None]) -> None:
        """Have ``work`` done when the conductor next looks, and tell nobody; from the service's loop.

        Raises:
            Busy: too much is waiting.
        """
        if len(self._letters) >= MAX_LETTERS:
            raise Busy("the sequencer is busy")
        self._letters.append(_Letter(work, None))

    def serve(self) -> None:
        """Do all that waits; from the conductor's thread.

        Raises:
            RunFailed: the disk refuses; the one who asked is told too.
        """
        with contextlib.suppress(BlockingIOError):
            os.read(self._reading, 1 << 16)
        # What asks this process to stop must not be taken for the outcome of a letter.
        with signals_held():
            while self._letters:
                _do(self._letters.popleft())

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._reading)
        os.close(self._writing)


def _do(letter: _Letter) -> None:
    try:
        _answer(letter, letter.work())
    except RunFailed as error:
        _answer(letter, error)
        raise
    except AttestrainError as error:
        _answer(letter, error)
    except MALFORMED as error:
        _answer(letter, Refusal(f"malformed: {error}"[:200]))


def _answer(letter: _Letter, outcome: Any) -> None:
    answer = letter.answer
    if answer is None:
        return

    def tell() -> None:
        if answer.done():
            return
        if isinstance(outcome, AttestrainError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)

    # Whoever asked may be gone with its loop.
    with contextlib.suppress(RuntimeError):
        answer.get_loop().call_soon_threadsafe(tell)
