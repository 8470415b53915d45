"""How much each account may leave here: blobs as the run goes on, documents in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attestrain.record.names import Address
from attestrain.run.service.auth import Denied
from attestrain.run.service.limits import MAX_DOCUMENTS, ROUNDS_OF_SLACK


class Quota:
    """Bytes of blobs and numbers of documents by account, counted since the service was started.

    Args:
        allowance: bytes of blobs for each round.
        rounds: rounds opened so far.
    """

    def __init__(self, allowance: int, rounds: Callable[[], int]) -> None:
        self._allowance = allowance
        self._rounds = rounds
        self._bytes: Counter[Address] = Counter()
        self._documents: Counter[Address] = Counter()

    @contextmanager
    def blob(self, account: Address, size: int) -> Iterator[None]:
        """Room for a blob; given back if it does not come.

        Raises:
            Denied: the account has stored what it may.
        """
        if self._bytes[account] + size > self._allowance * (self._rounds() + ROUNDS_OF_SLACK):
            raise Denied("this account has stored all it may for now", status=413)
        self._bytes[account] += size
        try:
            yield
        except BaseException:
            self._bytes[account] -= size
            raise

    @contextmanager
    def document(self, account: Address) -> Iterator[None]:
        """Room for a document.

        Raises:
            Denied: the account has left as many as it may.
        """
        if self._documents[account] >= MAX_DOCUMENTS:
            raise Denied("this account has left as many documents as it may", status=413)
        self._documents[account] += 1
        try:
            yield
        except BaseException:
            self._documents[account] -= 1
            raise
