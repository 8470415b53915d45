"""Insiders who hold the true keys: participants and sequencer collude, every signature is right, and it still shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.digest import sha256
from attestrain.record.names import Round, Worker
from attestrain.record.statements import Aggregated, Finding, Join, RunClose, Statement
from attestrain.record.trace import Segment, Trace
from attestrain.update.checkpoint import genesis
from attestrain.verify.checks import Status
from attestrain.verify.verdict import Outcome, Verdict
from attestrain.verify.verifier import verify
from tests.attacks.world import Edit, World, honest_world, tiny_spec

LAST = Round(2)


def judge(world: World) -> Verdict:
    return verify(world.play().files, world.policy)


def in_state(component: str, states: slice) -> Edit:
    """Put another value of a component into some of the states of one trace."""

    def edit(trace: Trace, update: bytes) -> tuple[Trace, bytes]:
        if (trace.round, trace.worker) != (LAST, 1):
            return trace, update
        changed = [dict(state) for state in trace.states]
        for state in changed[states]:
            state[component] = BlobRef(sha256(b"other"), state[component].size)
        return replace(trace, states=tuple(changed)), update

    return edit


def in_step(change: Callable[..., object]) -> Edit:
    def edit(trace: Trace, update: bytes) -> tuple[Trace, bytes]:
        if (trace.round, trace.worker) != (LAST, 1):
            return trace, update
        first = trace.segments[1]
        segment = Segment("inner", (change(first.steps[0]), *first.steps[1:]))  # type: ignore[arg-type]
        return replace(trace, segments=(trace.segments[0], segment, *trace.segments[2:])), update

    return edit


# States of a round of the tiny world: 0 adopt 1 inner 2 inner 3 compress 4.
@pytest.mark.parametrize(
    ("component", "states", "words"),
    [
        ("opt.m", slice(0, 2), "begins with another state"),
        ("ef", slice(0, 4), "begins with another state"),
        ("opt.m", slice(1, 2), r"segment 0 \(adopt\) changes opt.m"),
        ("ef", slice(2, 4), r"segment 1 \(inner\) changes ef"),
        ("params", slice(1, 2), "does not adopt the checkpoint's parameters"),
        ("opt.m", slice(4, 5), r"segment 3 \(compress\) changes opt.m"),
        ("params", slice(4, 5), r"segment 3 \(compress\) changes params"),
        ("cursor", slice(3, 5), "leaves the cursor elsewhere"),
    ],
)
def test_state_that_moves_where_it_may_not_breaks_continuity(component: str, states: slice, words: str) -> None:
    verdict = judge(World(edit=in_state(component, states)))
    assert verdict.failed_claims == (5,)
    assert re.search(words, failure(verdict, 5))


def failure(verdict: Verdict, claim: int) -> str:
    return next(check.detail for check in verdict.checks if check.claim == claim and check.status is Status.FAIL)


def test_a_component_of_another_size_breaks_continuity() -> None:
    def edit(trace: Trace, update: bytes) -> tuple[Trace, bytes]:
        grown = tuple({**state, "opt.m": blob_ref(b"short")} for state in trace.states)
        return replace(trace, states=grown), update

    verdict = judge(World(edit=edit))
    assert 5 in verdict.failed_claims


@pytest.mark.parametrize("segments", [slice(0, 3), slice(1, 4)])
def test_a_round_of_fewer_segments_is_refuted(segments: slice) -> None:
    def edit(trace: Trace, update: bytes) -> tuple[Trace, bytes]:
        if trace.worker != 1:
            return trace, update
        kept = trace.segments[segments]
        return replace(trace, segments=kept, states=trace.states[segments.start : segments.stop + 1]), update

    world = World(edit=edit, unanswered=frozenset(range(3)))
    verdict = judge(world)
    assert {5, 6} & set(verdict.failed_claims)
    assert verdict.outcome is Outcome.REFUTED


def test_another_learning_rate_breaks_assignment() -> None:
    verdict = judge(World(edit=in_step(lambda step: replace(step, rate=step.rate + 1))))
    assert verdict.failed_claims == (6,)
    assert "learning rate" in failure(verdict, 6)


def test_another_batch_breaks_assignment() -> None:
    verdict = judge(World(edit=in_step(lambda step: replace(step, batch=sha256(b"favourite")))))
    assert verdict.failed_claims == (6,)
    assert "another batch" in failure(verdict, 6)


class Lying(World):
    """A world in which some statements say something else than they should."""

    def __init__(self, lie: Callable[[Statement], Statement], **options: object) -> None:
        self.lie = lie
        super().__init__(**options)  # type: ignore[arg-type]

    def say(self, statement: Statement, role: str = "sequencer", slot: int = 0, kind: str = "session") -> None:
        super().say(self.lie(statement), role, slot, kind)


def test_an_aggregate_of_other_members_is_refuted() -> None:
    def lie(statement: Statement) -> Statement:
        return replace(statement, members=sha256(b"others")) if isinstance(statement, Aggregated) else statement

    verdict = judge(Lying(lie))
    assert verdict.failed_claims == (8,)
    assert "round 0 was aggregated from other members" in failure(verdict, 8)


def test_a_last_checkpoint_that_does_not_follow_is_refuted() -> None:
    def lie(statement: Statement) -> Statement:
        if isinstance(statement, RunClose) or (isinstance(statement, Aggregated) and statement.round == LAST):
            return replace(statement, checkpoint=sha256(b"a better model"))
        return statement

    verdict = judge(Lying(lie))
    assert verdict.failed_claims == (8,)
    assert "checkpoint 3 does not follow" in failure(verdict, 8)


def test_initial_weights_of_ones_own_choice_are_refuted() -> None:
    world = World()
    chosen = genesis(tiny_spec(seed=8))
    record = replace(chosen.record, run=world.spec.run_id)
    world.checkpoint = replace(chosen, record=record)
    verdict = judge(world)
    assert verdict.failed_claims == (5,)
    assert "checkpoint 0 does not follow from the spec" in failure(verdict, 5)


def test_a_finding_that_misquotes_the_trace_is_refuted() -> None:
    def lie(statement: Statement) -> Statement:
        if isinstance(statement, Finding) and (statement.round, statement.worker) == (1, 1):
            other = sha256(b"what it did not say")
            return replace(statement, claimed=other, observed=other)
        return statement

    verdict = judge(Lying(lie))
    assert verdict.failed_claims == (9,)
    assert "misquotes the trace" in failure(verdict, 9)


def test_draws_without_findings_leave_replayed_unmet() -> None:
    verdict = judge(World(unanswered=frozenset({1})))
    assert verdict.outcome is Outcome.CONSISTENT
    assert [item.name for item in verdict.unmet] == ["replayed"]
    assert "3 of 9 draws have no finding" in verdict.unmet[0].reason


def test_a_run_without_auditors_is_not_replayed() -> None:
    world = World(auditors=0)
    verdict = judge(world)
    assert verdict.outcome is Outcome.CONSISTENT
    assert [item.name for item in verdict.unmet] == ["replayed"]


def test_an_auditor_who_also_works_does_not_count() -> None:
    world = World()
    insider = world.party.signing("worker", 1, "participant")

    def lie(statement: Statement) -> Statement:
        if isinstance(statement, Join) and statement.role == "auditor":
            return replace(statement, participant=insider.address)
        return statement

    class Insider(Lying):
        def say(self, statement: Statement, role: str = "sequencer", slot: int = 0, kind: str = "session") -> None:
            if isinstance(statement, Join) and role == "auditor":
                role, slot = "worker", 1
            super().say(statement, role, slot, kind)

    played = Insider(lie).play()
    pins = replace(played.policy.pins, auditors=(insider.address,))
    verdict = verify(played.files, replace(played.policy, pins=pins))
    assert verdict.outcome is Outcome.CONSISTENT
    assert "stands behind a worker and an auditor" in verdict.unmet[0].reason


def test_other_auditors_than_the_pinned_ones_are_refuted() -> None:
    files, policy = honest_world()
    pins = replace(policy.pins, auditors=(World().party.signing("auditor", 7, "participant").address,))
    assert verify(files, replace(policy, pins=pins)).failed_claims == (9,)


def test_a_fabricated_run_of_the_same_spec_is_refuted_by_the_pins() -> None:
    _, policy = honest_world()
    fabricated = World()
    fabricated.party.tag = "sybil"
    verdict = verify(fabricated.play().files, policy)
    assert verdict.failed_claims == (2, 9)


def test_a_fabricated_run_under_another_spec_is_refuted_by_the_pins() -> None:
    _, policy = honest_world()
    verdict = verify(World(tiny_spec(seed=8)).play().files, policy)
    assert 1 in verdict.failed_claims


def test_a_pinned_checkpoint_is_held_against_the_delivered_one() -> None:
    files, policy = honest_world()
    pins = replace(policy.pins, checkpoint=sha256(b"another history"))
    assert verify(files, replace(policy, pins=pins)).failed_claims == (11,)


def caught(round_: Round, worker: Worker, segment: int) -> str:
    return "fault" if (round_, worker) == (1, 2) else "exact"


def test_a_run_with_a_caught_cheat_verifies_and_says_so() -> None:
    verdict = judge(World(outcome=caught))
    assert verdict.outcome is Outcome.VERIFIED
    cheat = verdict.workers[2]
    assert cheat.fault.startswith("round 1 segment")
    assert cheat.tainted == (1,)
    assert [item.round for item in cheat.rounds] == [0, 1]
    assert "replayed" not in cheat.rounds[1].achieved
    assert all(not worker.fault for worker in verdict.workers[:2])


def test_a_lone_accusation_where_two_votes_decide_is_disputed() -> None:
    once = iter(["fault"])

    def outcome(round_: Round, worker: Worker, segment: int) -> str:
        return next(once, "exact")

    verdict = judge(World(tiny_spec(audit_votes=2), auditors=2, outcome=outcome))
    assert verdict.outcome is Outcome.CONSISTENT
    assert "too few votes" in verdict.unmet[0].reason


def test_work_never_published_does_not_count_and_does_not_hinder() -> None:
    verdict = judge(World(silent=frozenset({(2, 1)})))
    assert verdict.outcome is Outcome.VERIFIED
    assert verdict.workers[1].aggregated == (0, 1)
    assert verdict.workers[1].rounds[2].achieved == ("signed",)


def test_work_that_builds_on_unpublished_work_is_not_continuous() -> None:
    verdict = judge(World(silent=frozenset({(1, 1)})))
    assert verdict.outcome is Outcome.CONSISTENT
    assert verdict.unmet[0].name == "continuous"
    assert "builds on worker 1 round 1" in verdict.unmet[0].reason
    assert "continuous" not in verdict.workers[1].rounds[2].achieved
    assert "continuous" in verdict.workers[0].rounds[2].achieved


def test_an_update_that_is_no_update_is_left_out_and_the_run_still_verifies() -> None:
    def edit(trace: Trace, update: bytes) -> tuple[Trace, bytes]:
        if trace.worker != 1:
            return trace, update
        return replace(trace, update=blob_ref(b"no update at all")), b"no update at all"

    verdict = judge(World(edit=edit))
    assert verdict.outcome is Outcome.VERIFIED
    assert verdict.workers[1].aggregated == ()


def test_an_update_copied_from_another_worker_is_left_out() -> None:
    copied: dict[Round, bytes] = {}

    def edit(trace: Trace, update: bytes) -> tuple[Trace, bytes]:
        if trace.worker == 0:
            copied[trace.round] = update
        taken = copied[trace.round] if trace.worker == 1 else update
        return replace(trace, update=blob_ref(taken)), taken

    verdict = judge(World(edit=edit))
    assert verdict.workers[1].aggregated == ()
    assert verdict.workers[0].aggregated == (0, 1, 2)


class Unfinished(World):
    """A run whose sequencer stops before the end."""

    def say(self, statement: Statement, role: str = "sequencer", slot: int = 0, kind: str = "session") -> None:
        if not isinstance(statement, RunClose):
            super().say(statement, role, slot, kind)


def test_an_unfinished_run_is_undecided() -> None:
    verdict = judge(Unfinished())
    assert verdict.outcome is Outcome.UNDECIDED
    assert verdict.failed_claims == ()
    assert any("the transcript ends before the run" in check.detail for check in verdict.checks)
