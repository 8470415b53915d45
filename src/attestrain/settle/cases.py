"""Cases as participants see them: which one, and how it stands (spec/contracts.md)."""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.record.digest import Digest
from attestrain.record.names import Address, Round, RunId, Worker
from attestrain.rules.slots import OPEN, OUTCOMES, VOID, case_id


@dataclass(frozen=True, slots=True)
class CaseId:
    """A case: the segment that it is about, and whom it accuses."""

    run: RunId
    round: Round
    worker: Worker
    segment: int
    accused: Address

    @property
    def digest(self) -> Digest:
        """How the contracts call it."""
        return case_id(self.run, self.round, self.worker, self.segment, self.accused)


@dataclass(frozen=True, slots=True)
class CaseState:
    """How a case stands at ``now`` (seconds since 1970, the chain's time), in its latest ``attempt``."""

    accused: Address
    accuser: Address
    attempt: int
    status: int
    committee: int
    commits: int
    guilty: int
    innocent: int
    commit_by: int
    reveal_by: int
    now: int

    @property
    def decided(self) -> bool:
        """Whether it has a verdict."""
        return self.status != OPEN

    @property
    def void(self) -> bool:
        """Whether it came to nothing, so that it may be opened again."""
        return self.status == VOID

    @property
    def outcome(self) -> str:
        """The verdict in a word."""
        return OUTCOMES[self.status]

    @property
    def revealing(self) -> bool:
        """Whether votes may be revealed: all are committed, or the time for that is over."""
        return self.commits == self.committee or self.now > self.commit_by

    @property
    def decidable(self) -> bool:
        """Whether it can be decided now."""
        majority = self.committee // 2 + 1
        return max(self.guilty, self.innocent) >= majority or self.now > self.reveal_by


@dataclass(frozen=True, slots=True)
class Ballot:
    """Somebody's part in a case."""

    member: bool
    committed: bool
    revealed: bool
