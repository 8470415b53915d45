"""The chain's side of a run, told from its events: who staked what, what was anchored, and how every case went.

A run without a chain leaves all of this empty. Amounts are in wei, the chain's smallest unit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from attestrain.report.events import Line

_WEI = re.compile(r"[0-9]{1,78}\Z")
"""A decimal count of wei; 78 digits hold every 256-bit number."""

Slot = tuple[str, int]
"""A role and its number, such as ``("worker", 3)``."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A participant that took its slot on chain: how its key is attested, what it staked, in which block."""

    assurance: str
    stake: int
    block: int


@dataclass(frozen=True, slots=True)
class Anchor:
    """A transcript root that the chain holds: the log's first ``size`` entries, in the block of ``height``."""

    epoch: int
    size: int
    root: str
    height: int
    tx: str


@dataclass(frozen=True, slots=True)
class Slashed:
    """Stake taken from a participant, in wei."""

    amount: int
    burned: int
    reporter_share: int


@dataclass(slots=True)
class CaseStory:
    """One case: the segment in dispute, who accused, how the committee voted, what came of it.

    ``outcome`` is empty while the case is open, then guilty, innocent or void; ``accuser`` is -1 where nobody said.
    """

    case: str
    round: int
    worker: int
    segment: int
    accuser: int
    votes: dict[int, bool] = field(default_factory=dict)
    outcome: str = ""
    guilty: int = 0
    committee: int = 0
    fine: int = 0


@dataclass(frozen=True, slots=True)
class Shares:
    """CPU seconds of all processes by what they were spent on."""

    training: float
    replay: float
    protocol: float
    evaluation: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.training + self.replay + self.protocol + self.evaluation

    @property
    def overhead(self) -> float:
        """Share of everything that is neither training nor replay nor evaluation: what the protocol costs."""
        return self.protocol / self.total if self.total > 0 else 0.0


@dataclass(slots=True)
class ChainStory:
    """What a run's events say of its chain.

    ``mode`` is "embedded" or "rpc", and empty for a run without a chain.
    """

    mode: str = ""
    chain_id: int = 0
    ledger: str = ""
    url: str = ""
    enrolled: dict[Slot, Enrolled] = field(default_factory=dict)
    anchors: dict[int, Anchor] = field(default_factory=dict)
    beacons: dict[int, int] = field(default_factory=dict)
    """Height of the block that each epoch's beacon is the hash of."""
    cases: dict[str, CaseStory] = field(default_factory=dict)
    slashed: dict[int, Slashed] = field(default_factory=dict)
    claimed: dict[int, int] = field(default_factory=dict)
    shares: Shares | None = None

    def tell(self, line: Line) -> None:
        """Take one more event; kinds that are not about the chain change nothing."""
        handler = _HANDLERS.get(line.kind)
        if handler is not None:
            handler(self, line)

    def case_of(self, worker: int) -> CaseStory | None:
        """The case about ``worker`` that went furthest: decided before open, the first of equals."""
        cases = [case for case in self.cases.values() if case.worker == worker]
        return min(cases, key=lambda case: (case.outcome != "guilty", not case.outcome), default=None)

    def staked(self) -> int:
        """Stake of all participants together, counted once per slot."""
        return sum(item.stake for item in self.enrolled.values())


def wei(line: Line, key: str) -> int:
    """An amount; 0 when the event does not say."""
    text = line.text(key)
    return int(text) if _WEI.match(text) else 0


def shown_coins(amount: int) -> str:
    """An amount of wei in whole coins of 10^18, with up to six digits after the point: never rounded up."""
    whole, rest = divmod(amount, 10**18)
    digits = f"{rest // 10**12:06d}".rstrip("0")
    if not whole and not digits and rest:
        return "less than 0.000001"
    return f"{whole:,}.{digits}" if digits else f"{whole:,}"


def _chain(story: ChainStory, line: Line) -> None:
    story.mode, story.ledger, story.url = line.text("mode"), line.text("ledger"), line.text("url")
    story.chain_id = line.integer("chain_id")


def _enrolled(story: ChainStory, line: Line) -> None:
    slot = line.text("role") or "worker", line.integer("worker")
    story.enrolled[slot] = Enrolled(line.text("assurance") or "none", wei(line, "stake"), line.integer("block"))


def _anchored(story: ChainStory, line: Line) -> None:
    epoch = line.integer("epoch")
    place = line.integer("size"), line.text("root"), line.integer("height"), line.text("tx")
    story.anchors[epoch] = Anchor(epoch, *place)


def _beacon(story: ChainStory, line: Line) -> None:
    story.beacons[line.integer("epoch")] = line.integer("height")


def _case(line: Line, accuser: int) -> CaseStory:
    worker, segment = line.integer("worker"), line.integer("segment")
    return CaseStory(line.text("case"), line.integer("round"), worker, segment, accuser)


def _case_open(story: ChainStory, line: Line) -> None:
    story.cases.setdefault(line.text("case"), _case(line, line.integer("accuser")))


def _vote(story: ChainStory, line: Line) -> None:
    case = story.cases.get(line.text("case"))
    if case is not None:
        case.votes[line.integer("auditor")] = line.data.get("guilty") is True


def _case_closed(story: ChainStory, line: Line) -> None:
    case = story.cases.setdefault(line.text("case"), _case(line, line.integer("accuser", -1)))
    case.outcome, case.fine = line.text("outcome"), wei(line, "fine")
    case.guilty, case.committee = line.integer("guilty"), line.integer("committee")


def _slashed(story: ChainStory, line: Line) -> None:
    amounts = (wei(line, key) for key in ("amount", "burned", "reporter_share"))
    story.slashed[line.integer("worker")] = Slashed(*amounts)


def _claimed(story: ChainStory, line: Line) -> None:
    story.claimed[line.integer("worker")] = wei(line, "amount")


def _share(story: ChainStory, line: Line) -> None:
    seconds = (line.number(f"{part}_seconds") or 0.0 for part in ("training", "replay", "protocol", "evaluation"))
    story.shares = Shares(*seconds)


_HANDLERS = {
    "chain": _chain,
    "enrolled": _enrolled,
    "anchored": _anchored,
    "beacon": _beacon,
    "case-open": _case_open,
    "vote": _vote,
    "case-closed": _case_closed,
    "slashed": _slashed,
    "claimed": _claimed,
    "share": _share,
}
