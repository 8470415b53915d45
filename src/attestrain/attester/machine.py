"""What a participant needs of the machine that gives its evidence, simulated or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attestrain.record.digest import Digest
from attestrain.record.evidence import Event, Evidence


class Machine(Protocol):
    """Measures and quotes. What was measured stays so until the machine ends."""

    def evidence(self, report_data: bytes, events: Sequence[Event], block_number: int, block_hash: Digest) -> Evidence:
        """Evidence of having measured ``events``: those that are not yet are measured now.

        Args:
            report_data: 64 bytes of the caller's, from `record.evidence.report_data`.
            events: all that RTMR3 holds then, in order.
            block_number: of the recent block that the report data cover.
            block_hash: its hash.

        Raises:
            UsageError: the machine has measured something else, or cannot give evidence.
            Unreachable: what signs quotes does not answer.
        """
        ...
