"""Guarantees as achieved (DESIGN section 3): what the checks amount to, for the run and for every worker-round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from attestrain.rules.ledger import Ledger
from attestrain.rules.slots import RunWords
from attestrain.verify.aggregation import History
from attestrain.verify.chain import ChainState
from attestrain.verify.checks import Docket
from attestrain.verify.policy import GUARANTEES, ON_CHAIN, Pins, Policy
from attestrain.verify.receipts import Works
from attestrain.verify.replays import Replays
from attestrain.verify.settlement import Settled

if TYPE_CHECKING:
    from attestrain.verify.evidence import Appraisals

SIMULATED = "simulated"
LOCAL, PUBLIC = "local", "public chain"
"""Whose chain it is that a guarantee rests on."""
LOCAL_CHAIN = 31_337
"""Chain id of development chains: never anything but local, whatever a policy says."""


@dataclass(frozen=True, slots=True)
class Achieved:
    """A guarantee that the run reached.

    Attributes:
        name: of the guarantee.
        qualifier: "simulated", "hardware", "local" or "public chain", for what it rests on; empty if on nothing such.
        detail: how far it goes.
    """

    name: str
    qualifier: str
    detail: str


@dataclass(frozen=True, slots=True)
class Unmet:
    """A guarantee that the policy asks for and did not get, and why."""

    name: str
    reason: str


@dataclass(slots=True)
class OnChain:
    """What the chain's facts established, as far as they could be checked."""

    state: ChainState | None = None
    run: RunWords | None = None
    appraisals: Appraisals | None = None
    settled: Settled | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the claims established, as far as they could be checked."""

    docket: Docket
    ledger: Ledger
    works: Works
    history: History | None
    gaps: Sequence[str] | None
    replays: Replays | None
    chain: OnChain


def achieved(evidence: Evidence, pins: Pins) -> tuple[list[Achieved], dict[str, str]]:
    """Guarantees of the run, and for each that it does not have the reason."""
    found, reasons = [], {}
    for name, judge in (
        ("signed", _signed),
        ("continuous", _continuous),
        ("assigned", _assigned),
        ("aggregated", _aggregated),
        ("replayed", _replayed),
        ("attested", _attested),
        ("anchored", _anchored),
        ("staked", _staked),
        ("settled", _settled),
    ):
        reason, detail = judge(evidence)
        if reason:
            reasons[name] = reason
        else:
            found.append(Achieved(name, _qualifier(name, evidence, pins), detail))
    return found, reasons


def _qualifier(name: str, evidence: Evidence, pins: Pins) -> str:
    """What a guarantee rests on, in a word."""
    if name == "attested":
        kinds = {appraisal.assurance for appraisal in (evidence.chain.appraisals or {}).values()}
        return "hardware" if kinds == {"hardware"} else SIMULATED
    if name not in (*ON_CHAIN, "assigned", "replayed"):
        return ""
    if evidence.ledger.spec.beacon_mode == "recorded":
        return SIMULATED
    state = evidence.chain.state
    local = state is None or state.facts.chain_id == LOCAL_CHAIN or pins.chain is None or pins.chain.local
    return LOCAL if local else PUBLIC


def _signed(evidence: Evidence) -> tuple[str, str]:
    receipts = sum(len(book.receipts) for book in evidence.ledger.rounds.values())
    return "" if evidence.docket.passed(2, 3, 4) else "claims 2 to 4 do not all hold", f"{receipts} receipts"


def _continuous(evidence: Evidence) -> tuple[str, str]:
    if evidence.gaps is None or not evidence.docket.passed(2, 5):
        return "claim 5 does not hold", ""
    return "; ".join(evidence.gaps[:1]), f"{len(evidence.works)} worker-rounds"


def _assigned(evidence: Evidence) -> tuple[str, str]:
    if evidence.ledger.spec.beacon_mode == "chain" and evidence.chain.run is None:
        return "no chain says that the beacons are its own", ""
    beacon = "a recorded beacon" if evidence.ledger.spec.beacon_mode == "recorded" else "blocks of a chain"
    return "" if evidence.docket.passed(2, 6) else "claim 6 does not hold", f"by {beacon}"


def _aggregated(evidence: Evidence) -> tuple[str, str]:
    count = 0 if evidence.history is None else len(evidence.history.members)
    return "" if evidence.docket.passed(2, 8) else "claim 8 does not hold", f"{count} checkpoints"


def _replayed(evidence: Evidence) -> tuple[str, str]:
    replays, spec = evidence.replays, evidence.ledger.spec
    if replays is None or not evidence.docket.passed(2):
        return "claim 9 does not hold", ""
    if replays.missing:
        return f"{len(replays.missing)} of {replays.due} draws have no finding: {replays.missing[0]}", ""
    if replays.late:
        return f"{replays.late} findings came after the next commit list was closed", ""
    if replays.undrawn or not replays.due:
        return f"too few auditors drew over {replays.undrawn or 'all'} worker-rounds", ""
    if replays.insiders:
        return f"{replays.insiders[0]} stands behind a worker and an auditor", ""
    if replays.disputed:
        return f"{replays.disputed} findings of a fault have too few votes to decide", ""
    figures = f"{replays.due} draws, {replays.outcomes['tolerance']} within tolerance"
    detail = f"{spec.audit_fraction} of every worker-round, {figures}"
    return "" if evidence.docket.passed(9) else "claim 9 does not hold", detail


def _attested(evidence: Evidence) -> tuple[str, str]:
    appraisals = evidence.chain.appraisals
    if appraisals is None or not evidence.docket.passed(2, 3):
        return "this run has no evidence that could be judged", ""
    keys = [
        (role, slot, item.statement.key_epoch) for (role, slot), held in evidence.ledger.joins.items() for item in held
    ]
    without = [key for key in keys if key not in appraisals]
    if without:
        return f"{without[0][0]} {without[0][1]} gave no evidence in key epoch {without[0][2]}", ""
    return "", f"{len(appraisals)} session keys"


def _anchored(evidence: Evidence) -> tuple[str, str]:
    run = evidence.chain.run
    if run is None or not evidence.docket.passed(2):
        return "no chain holds this transcript's root", ""
    return "", f"{run.epochs} anchors, the last over the whole transcript"


def _staked(evidence: Evidence) -> tuple[str, str]:
    settled = evidence.chain.settled
    if settled is None or not evidence.docket.passed(2, 3, 10):
        return "no chain says that anything is at stake", ""
    if settled.unstaked:
        return settled.unstaked[0], ""
    lost = sum(words.slashed for words in settled.stakes.values())
    return "", f"{len(settled.stakes)} accounts" + (f", {coins(lost)} coins slashed" if lost else "")


def _settled(evidence: Evidence) -> tuple[str, str]:
    settled = evidence.chain.settled
    if settled is None or not evidence.docket.passed(2, 8, 10):
        return "no chain says that anything is owed", ""
    if settled.unsettled:
        return settled.unsettled[0], ""
    owed = settled.owed.amounts if settled.owed else {}
    figures = f"{coins(sum(owed.values()))} coins owed to {len(owed)} accounts, {coins(settled.paid)} claimed"
    return "", "; ".join([figures, *settled.remarks])


def coins(wei: int) -> str:
    """An amount in whole coins, exact to the last digit that is not zero."""
    whole, rest = divmod(wei, 10**18)
    return f"{whole}.{rest:018d}".rstrip("0").rstrip(".")


def _pins_of(name: str) -> tuple[str, ...]:
    on_chain = ("chain",) if name in (*ON_CHAIN, "attested") else ()
    return ("run", "transcript_key", *on_chain, *(("auditors",) if name == "replayed" else ()))


PINNED = {name: _pins_of(name) for name in GUARANTEES}
"""Pins that a guarantee rests on: without them it is the bundle's own assertion."""


def self_asserted(found: Sequence[Achieved], pins: Pins) -> list[str]:
    """Guarantees that rest on something that the policy does not pin."""
    return [item.name for item in found if any(not getattr(pins, pin) for pin in _rests_on(item))]


def _rests_on(item: Achieved) -> tuple[str, ...]:
    """What a guarantee rests on; a chain's beacons add the chain, simulated evidence its root, genuine its image."""
    if item.name == "attested":
        return (*PINNED[item.name], "evidence_roots" if item.qualifier == SIMULATED else "image")
    return (*PINNED[item.name], "chain") if item.qualifier in (LOCAL, PUBLIC) else PINNED[item.name]


def unmet(policy: Policy, found: Sequence[Achieved], reasons: dict[str, str], fraction: str) -> list[Unmet]:
    """What the policy asks for and did not get.

    Args:
        policy: the policy.
        found: guarantees achieved.
        reasons: why others were not.
        fraction: share of segments drawn, from the spec.
    """
    have, asserted = {item.name: item for item in found}, self_asserted(found, policy.pins)
    missing = []
    for name in policy.guarantees:
        if name not in have:
            missing.append(Unmet(name, reasons.get(name, "this run carries nothing for it")))
        elif name in asserted:
            missing.append(Unmet(name, "self-asserted: the policy does not pin what it rests on"))
        elif have[name].qualifier == SIMULATED and name not in policy.allow_simulated:
            missing.append(Unmet(name, "it is simulated, which the policy does not allow"))
        elif name == "replayed" and Fraction(fraction) < policy.fraction:
            missing.append(
                Unmet(name, f"{fraction} of the segments were drawn, {policy.replayed_fraction} are asked for")
            )
    return missing
