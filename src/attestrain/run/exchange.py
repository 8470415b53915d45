"""The exchange: all that a role sees of the network. Roles only dial out, so they can live behind NAT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from attestrain.errors import AttestrainError
from attestrain.record.names import Index, Round


class Refusal(AttestrainError):
    """The sequencer would not append an entry; the message says which rule it breaks."""


class Stopped(AttestrainError):
    """The network is gone or asks the role to end."""


class Exchange(Protocol):
    """What a worker or auditor needs from the sequencer."""

    def submit(self, entry: bytes) -> Index:
        """Append an entry, or find it already appended (sending twice is safe); returns its index.

        Raises:
            Refusal: the entry may not stand.
            Stopped: the network is gone.
        """
        ...

    def poll(self, since: int) -> Sequence[bytes]:
        """Entries from index ``since`` on; waits for one if there is none yet.

        Raises:
            Stopped: the network is gone.
        """
        ...

    def entries(self, since: int) -> Sequence[bytes]:
        """Entries from index ``since`` on, without waiting for any.

        Raises:
            Stopped: the network is gone.
        """
        ...

    def merged(self, round_: Round, most: int) -> bytes | None:
        """The merged update of an aggregated round, of at most ``most`` bytes; None if there was nothing to merge.

        Raises:
            Stopped: the network is gone.
            Unreachable: the sequencer does not hand it out.
        """
        ...

    def tell(self, kind: str, /, **data: Any) -> None:
        """Report progress. Best effort; nothing rests on it."""
        ...
