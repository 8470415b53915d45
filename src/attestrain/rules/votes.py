"""Votes: findings of a fault, counted in the order in which they stand in the transcript.

Counting while filing keeps every question about exclusion cheap: admission asks one for each entry.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from attestrain.record.names import Index, Round, Worker
from attestrain.record.statements import Finding


@dataclass(frozen=True, slots=True)
class Fault:
    """A worker's first proven fault: the segment, how it shows, and the entry that completed the votes."""

    worker: Worker
    round: Round
    segment: int
    detail: str
    index: Index


class Votes:
    """The count.

    Args:
        needed: findings about one segment, by different auditors, that prove a fault.

    Attributes:
        proven: the first fault of every worker at fault. Never changes once there: later entries only add workers.
    """

    def __init__(self, needed: int) -> None:
        self.proven: dict[Worker, Fault] = {}
        self._needed = needed
        self._accusers: dict[tuple[Round, Worker, int], set[Worker]] = defaultdict(set)

    def count(self, index: Index, finding: Finding) -> None:
        """Count the finding that stands at ``index``."""
        if finding.outcome != "fault" or finding.worker in self.proven:
            return
        votes = self._accusers[finding.round, finding.worker, finding.segment]
        votes.add(finding.auditor)
        if len(votes) >= self._needed:
            where = (finding.worker, finding.round, finding.segment)
            self.proven[finding.worker] = Fault(*where, str(finding.detail), index)
