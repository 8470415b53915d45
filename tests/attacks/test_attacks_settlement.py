"""Insiders who write what they like about money into the chain's state: what a verdict makes of it.

The policy pins the block in which it stands, so nothing here is about proofs: the chain says it, and it is still wrong,
or too little.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from attestrain.record.digest import sha256
from attestrain.record.keys import SigningKey
from attestrain.record.names import Address, Worker
from attestrain.rules.faults import faults
from attestrain.rules.slots import GUILTY, INNOCENT, OPEN, VOID
from attestrain.verify.verdict import Outcome
from attestrain.verify.verifier import verify
from tests.attacks.anchored_world import (
    AUDITOR_STAKE,
    BUDGET,
    FINE,
    STAKE,
    AnchoredWorld,
    anchored_world,
    caught,
    judge,
    played,
    refused,
    unmet,
)
from tests.attacks.world import Party


def fault_of(world: AnchoredWorld) -> tuple[int, int, int]:
    """Round, worker and segment of the cheat that `caught` catches: which segment, the draw decides."""
    fault = faults(world.ledger)[Worker(2)]
    return fault.round, 2, fault.segment


def test_the_honest_run_is_verified_with_everything_a_chain_can_say() -> None:
    files, policy = anchored_world()
    verdict = verify(files, policy)
    assert (verdict.outcome, verdict.unmet) == (Outcome.VERIFIED, ())
    assert {item.name: item.qualifier for item in verdict.achieved if item.qualifier} == {
        "assigned": "local",
        "replayed": "local",
        "attested": "simulated",
        "anchored": "local",
        "staked": "local",
        "settled": "local",
    }
    cheat = verdict.workers[2]
    assert (cheat.assurance, cheat.case, cheat.stake, cheat.slashed, cheat.owed) == (
        "simulated",
        "guilty",
        STAKE - FINE,
        FINE,
        0,
    )
    assert [worker.owed for worker in verdict.workers[:2]] == [BUDGET // 6 * 3] * 2


# Stakes.


def stake(role: str, slot: int, amount: int, **more: int) -> Callable[[AnchoredWorld], object]:
    return lambda world: world.chain.stake(world.participant(role, slot), amount, **more)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (stake("worker", 0, 0), "worker 0 has 0 wei at stake, the run asks"),
        (stake("worker", 1, STAKE - 1), f"worker 1 has {STAKE - 1} wei at stake, the run asks {STAKE}"),
        (stake("auditor", 0, AUDITOR_STAKE - 1), "auditor 0 has"),
        (stake("worker", 0, STAKE, holds=0), "the stake of worker 0 is released"),
        (stake("auditor", 0, AUDITOR_STAKE, holds=0), "the stake of auditor 0 is released"),
        (stake("worker", 2, 0, slashed=STAKE, holds=0), "the stake of worker 2 is released"),
    ],
)
def test_who_has_too_little_at_stake_or_can_take_it_back_is_not_staked(
    change: Callable[[AnchoredWorld], object], words: str
) -> None:
    unmet(played(change), "staked", words)


def test_what_another_run_cost_an_account_is_not_at_stake_in_this_one() -> None:
    unmet(played(stake("worker", 0, 0, slashed=STAKE)), "staked", "worker 0 has 0 wei at stake")


def test_a_stake_that_one_account_has_for_several_slots_counts_once() -> None:
    class Shared(Party):
        def signing(self, role: str, slot: int = 0, kind: str = "session") -> SigningKey:
            behind = slot % 2 if (role, kind) == ("worker", "participant") else slot
            return super().signing(role, behind, kind)

    verdict = judge(AnchoredWorld(outcome=caught, party=Shared()))
    unmet(verdict, "staked", f"worker 0 and worker 2 has {STAKE - FINE} wei at stake, the run asks {2 * STAKE}")


def test_what_is_asked_back_while_it_is_held_can_still_be_lost_and_counts() -> None:
    assert played(stake("worker", 0, 1, pending=STAKE - 1)).outcome is Outcome.VERIFIED


@pytest.mark.parametrize("role", ["worker", "auditor"])
def test_a_run_that_asks_no_stake_is_not_staked(role: str) -> None:
    class Free(AnchoredWorld):
        def write(self) -> None:
            asked = {"worker": STAKE, "auditor": AUDITOR_STAKE, role: 0}
            self.chain.runs[self.spec.run_id]["stakes"] = (asked["worker"], asked["auditor"])
            super().write()

    unmet(judge(Free(outcome=caught)), "staked", f"the run asks no stake of a {role}")


# Cases.


def verdict_of(status: int) -> Callable[[AnchoredWorld], object]:
    """The cheat's case stands otherwise, and cost nothing."""

    def change(world: AnchoredWorld) -> None:
        world.hold_case(fault_of(world), status)
        world.chain.stake(world.participant("worker", 2), STAKE)

    return change


@pytest.mark.parametrize(("status", "word"), [(OPEN, "open"), (VOID, "void"), (0, "never opened")])
def test_a_proven_fault_without_a_verdict_is_not_settled(status: int, word: str) -> None:
    verdict = played(verdict_of(status))
    unmet(verdict, "settled", f"the case about worker 2 in round 1 is {word}")
    assert verdict.workers[2].case == ("" if word == "never opened" else word)


def test_a_proven_fault_whose_accused_is_found_innocent_is_named() -> None:
    verdict = played(verdict_of(INNOCENT))
    assert verdict.outcome is Outcome.VERIFIED
    detail = next(item.detail for item in verdict.achieved if item.name == "settled")
    assert detail.endswith("a case found worker 2 innocent in round 1, where the transcript proves a fault")


def test_a_guilty_verdict_without_a_proven_fault_is_named() -> None:
    verdict = judge(AnchoredWorld(in_the_end=lambda world: world.hold_case((0, 1, 2), GUILTY)))
    detail = next(item.detail for item in verdict.achieved if item.name == "settled")
    assert detail.endswith("a case found worker 1 guilty in round 0, where the transcript does not prove a fault")
    assert verdict.workers[1].owed > 0


def test_a_case_that_the_facts_do_not_prove_leaves_it_undecided() -> None:
    verdict = judge(AnchoredWorld(outcome=caught, in_the_end=forget_case))
    assert verdict.outcome is Outcome.UNDECIDED
    assert any(check.missing and check.claim == 10 for check in verdict.checks)


def forget_case(world: AnchoredWorld) -> None:
    world.cases.clear()
    del world.chain.storage["cases"][
        world.chain.case_slot(world.spec.run_id, fault_of(world), world.participant("worker", 2))
    ]


# Pay.


def pay(edit: Callable[[dict[Address, int]], dict[Address, int]]) -> Callable[[AnchoredWorld], object]:
    return lambda world: world.settle(edit(world.amounts()))


def swapped(amounts: dict[Address, int]) -> dict[Address, int]:
    """One worker's pay goes to somebody else."""
    first = min(amounts)
    stranger = SigningKey(sha256(b"the sequencer's friend")).address
    return {stranger: amounts[first], **{account: amount for account, amount in amounts.items() if account != first}}


@pytest.mark.parametrize(
    "edit",
    [
        swapped,
        lambda amounts: {account: amount + (account == min(amounts)) for account, amount in amounts.items()},
        lambda amounts: {account: amount // 2 for account, amount in amounts.items()},
        lambda amounts: {min(amounts): sum(amounts.values())},
    ],
)
def test_pay_that_does_not_follow_from_the_transcript_is_refuted(
    edit: Callable[[dict[Address, int]], dict[Address, int]],
) -> None:
    refused(played(pay(edit)), 10, "settlement", "the payouts on chain do not follow")


def test_pay_for_the_cheat_is_refuted() -> None:
    def generous(world: AnchoredWorld) -> None:
        amounts = world.amounts()
        world.settle({**amounts, world.participant("worker", 2): min(amounts.values())})

    refused(played(generous), 10, "settlement", "the payouts on chain do not follow")


def test_another_total_under_the_right_root_is_refuted() -> None:
    def total(world: AnchoredWorld) -> None:
        owed = sum(world.amounts().values())
        root = world.chain.storage["settlement"]
        words = sorted(root)
        slot = next(slot for slot in words if root[slot] == BUDGET | owed << 128)
        root[slot] = BUDGET | (owed - 1) << 128

    refused(played(total), 10, "settlement", "the payouts on chain do not follow")


def test_pay_that_was_never_posted_is_not_settled() -> None:
    def silent(world: AnchoredWorld) -> None:
        world.chain.pay(world.spec.run_id, bytes(32), BUDGET, 0, 0)

    unmet(played(silent), "settled", "no payouts are posted")


def test_pay_on_another_chain_is_refuted() -> None:
    """The very same amounts, but the leaves name a chain on which nobody can claim them."""

    def elsewhere(world: AnchoredWorld) -> None:
        world.chain.chain_id = 1
        world.settle(world.amounts())
        world.chain.chain_id = 31_337

    refused(played(elsewhere), 10, "settlement", "the payouts on chain do not follow")
