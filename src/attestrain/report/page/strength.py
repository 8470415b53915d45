"""At which strength: every guarantee there is, as this run achieved it or not, and in which sense."""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.report.page.sources import Source, Sources
from attestrain.report.page.words import CLAIM_MEANING, MEANING, QUALIFIERS
from attestrain.verify.checks import CLAIMS
from attestrain.verify.policy import GUARANTEES
from attestrain.verify.verdict import Verdict

RESTS_ON = {
    "signed": (3, 4),
    "continuous": (5,),
    "assigned": (6,),
    "available": (7,),
    "aggregated": (8,),
    "scored": (),
    "replayed": (9,),
    "attested": (3,),
    "staked": (10,),
    "settled": (10,),
    "anchored": (2,),
    "confidential": (),
}
"""Claims that each guarantee rests on; none for those that this version does not check yet."""


@dataclass(frozen=True, slots=True)
class Guarantee:
    """One guarantee as it came out.

    Attributes:
        state: "achieved", "not met" (the policy asked for it) or "not part of this run".
        qualifiers: words such as simulated, each explained in the page.
        detail: figures, or the reason for its absence.
    """

    name: str
    state: str
    qualifiers: tuple[str, ...]
    meaning: str
    detail: str
    sources: tuple[Source, ...]

    @property
    def achieved(self) -> bool:
        """Whether the run has it, under whatever qualifiers."""
        return self.state == "achieved"


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """One check of a claim, for the table of checks."""

    claim: int
    name: str
    status: str
    detail: str
    missing: bool


@dataclass(frozen=True, slots=True)
class ClaimGroup:
    """A claim with all of its checks."""

    claim: int
    title: str
    meaning: str
    checks: tuple[ClaimRow, ...]


def guarantees(verdict: Verdict, sources: Sources) -> list[Guarantee]:
    """All guarantees: those achieved first, each group in the order of the design."""
    have = {item.name: item for item in verdict.achieved}
    unmet = {item.name: item.reason for item in verdict.unmet}
    rows = []
    for name in sorted(GUARANTEES, key=_design_order):
        rests = tuple(sources.claim(claim) for claim in RESTS_ON[name])
        found = have.get(name)
        if found is not None:
            asserted = ("self-asserted",) if name in verdict.self_asserted else ()
            qualifiers = tuple(word for word in (found.qualifier, *asserted) if word)
            state, detail = "achieved", unmet.get(name) or found.detail
        else:
            qualifiers, state = (), "not met" if name in unmet else "not part of this run"
            detail = unmet.get(name) or _absence(verdict, name)
        rows.append(Guarantee(name, state, qualifiers, MEANING[name], detail, rests))
    return sorted(rows, key=lambda row: (not row.achieved, row.state != "not met"))


def _design_order(name: str) -> int:
    return list(RESTS_ON).index(name)


def _absence(verdict: Verdict, name: str) -> str:
    """Why a guarantee that nobody asked for is not there: what its claims say."""
    reasons = [check.detail for check in verdict.checks if check.claim in RESTS_ON[name] and check.status != "PASS"]
    return reasons[0] if reasons else "this version checks nothing for it"


def qualifier_notes(rows: list[Guarantee]) -> list[tuple[str, str]]:
    """Every qualifier that occurs, with what it means."""
    words = dict.fromkeys(word for row in rows for word in row.qualifiers)
    return [(word, QUALIFIERS.get(word, "see spec/verdict.md")) for word in words]


def claim_groups(verdict: Verdict) -> list[ClaimGroup]:
    """Every claim with its checks, in order."""
    groups = []
    for claim, title in CLAIMS.items():
        rows = tuple(
            ClaimRow(claim, check.name, str(check.status), check.detail, check.missing)
            for check in verdict.checks
            if check.claim == claim
        )
        groups.append(ClaimGroup(claim, title, CLAIM_MEANING[claim], rows))
    return groups
