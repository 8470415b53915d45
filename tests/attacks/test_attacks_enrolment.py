"""Insiders whose keys, or their evidence, are not what the chain was told of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from attestrain.record.chain import ChainFacts
from attestrain.record.digest import ZERO_DIGEST, sha256
from attestrain.record.evidence import Evidence
from attestrain.record.keys import SigningKey
from attestrain.record.names import KeyEpoch, Round, RunId, Text, Worker
from attestrain.record.statements import Join
from attestrain.verify.verdict import Outcome
from attestrain.verify.verifier import verify
from tests.attacks.anchored_world import (
    STAKE,
    AnchoredWorld,
    anchored_world,
    caught,
    failure,
    judge,
    refused,
    unmet,
    with_facts,
)
from tests.contracts import Contracts

# Keys, as only their enrolment shows.


class Enrolling(AnchoredWorld):
    """A world in which the chain is told something else about worker 0's key than the transcript says."""

    def __init__(self, lie: Callable[[Join], Join], **options: object) -> None:
        self.lie = lie
        super().__init__(outcome=caught, **options)  # type: ignore[arg-type]

    def enrol(self, join: Join, block: int) -> None:
        first = (join.role, join.worker) == ("worker", 0)
        super().enrol(self.lie(join) if first else join, block)


OTHER = SigningKey(sha256(b"somebody else")).address


@pytest.mark.parametrize(
    "change",
    [
        {"session": OTHER},
        {"until": Round(1)},
        {"until": Round(77)},
        {"evidence": sha256(b"other evidence")},
        {"evidence": ZERO_DIGEST},
    ],
)
def test_a_key_enrolled_with_something_else_is_refuted(change: dict[str, object]) -> None:
    verdict = judge(Enrolling(lambda join: replace(join, **change), evidence=True))  # type: ignore[arg-type]
    refused(verdict, 3, "enrolments", "worker 0 in key epoch 0 was enrolled on chain with another")


def test_a_stolen_key_enrolled_by_its_thief_only_is_refuted() -> None:
    """The join's own account never enrolled; that another account enrolled the very same key helps nobody."""
    world = Enrolling(lambda join: replace(join, participant=OTHER))
    world.in_the_end = lambda played: played.chain.storage["registry"].setdefault(  # type: ignore[assignment]
        played.chain.enrolment_slot(played.spec.run_id, "worker", 0, 0, played.participant("worker", 0)), 0
    )
    world.play()
    world.chain.stake(world.participant("worker", 0), STAKE)
    verdict = verify(world.files, world.policy)
    assert "worker 0 in key epoch 0 was never enrolled on chain" in failure(verdict, 3, "enrolments")


class Late(AnchoredWorld):
    """A world in which worker 0's key is enrolled, as it should be, when all is over."""

    def enrol(self, join: Join, block: int) -> None:
        super().enrol(join, block)
        if (join.role, join.worker) == ("worker", 0):
            self.enrolments.pop()

    def write(self) -> None:
        join = self.ledger.registered("worker", Worker(0))
        assert join is not None
        self.chain.mine()
        self.enrolments.append(self.chain.enrol(join, self.chain.number - 1))
        super().write()


def test_a_key_that_signed_before_it_was_enrolled_is_refuted() -> None:
    verdict = judge(Late(outcome=caught))
    refused(verdict, 3, "enrolments", "worker 0 in key epoch 0 was enrolled after its join was anchored")


def test_an_enrolment_of_a_key_that_nobody_joined_with_is_refuted() -> None:
    files, policy = anchored_world()

    def edit(facts: ChainFacts) -> ChainFacts:
        more = replace(facts.enrolments[0], key_epoch=KeyEpoch(7))
        return replace(facts, enrolments=(*facts.enrolments, more))

    refused(verify(with_facts(files, edit), policy), 3, "enrolments", "in key epoch 7, who never joined")


class Quoting(AnchoredWorld):
    """A world in which worker 0's evidence, enrolled and named as it is, is about something else."""

    def __init__(self, lie: Callable[[AnchoredWorld, Join, int], Evidence]) -> None:
        self.lie = lie
        super().__init__(outcome=caught, evidence=True)

    def quote(self, join: Join, block: int) -> Evidence:
        if (join.role, join.worker) == ("worker", 0):
            return self.lie(self, join, block)
        return super().quote(join, block)


def quoted(change: dict[str, object]) -> Callable[[AnchoredWorld, Join, int], Evidence]:
    return lambda world, join, block: AnchoredWorld.quote(world, replace(join, **change), block)  # type: ignore[arg-type]


def foreign(world: AnchoredWorld, join: Join, block: int) -> Evidence:
    """A machine of another network's root."""
    stranger = AnchoredWorld(evidence=True, network="theirs")
    stranger.chain = world.chain
    return stranger.quote(join, block)


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (quoted({"run": RunId(sha256(b"another run"))}), "the quote is not bound to session key"),
        (quoted({"worker": Worker(1)}), "the quote is not bound to session key"),
        (quoted({"role": Text("auditor")}), "the quote is not bound to session key"),
        (quoted({"session": OTHER}), "the quote is not bound to session key"),
        (quoted({"participant": OTHER}), "the quote is not bound to session key"),
        (quoted({"key_epoch": KeyEpoch(1)}), "the quote is not bound to session key"),
        (quoted({"environment": sha256(b"another environment")}), "measured environment"),
        (lambda world, join, block: AnchoredWorld.quote(world, join, block - 1), "names another block"),
        (foreign, "is neither Intel's nor a pinned development root"),
    ],
)
def test_evidence_about_something_else_is_refuted(
    lie: Callable[[AnchoredWorld, Join, int], Evidence], words: str
) -> None:
    refused(judge(Quoting(lie)), 3, "evidence", words)


def test_evidence_of_a_machine_whose_collateral_ended_before_the_enrolment_is_refuted() -> None:
    chain = Contracts()
    chain.timestamp += 40 * 86_400
    verdict = judge(AnchoredWorld(outcome=caught, evidence=True, chain=chain))
    assert verdict.failed_claims == (3,)
    assert "the evidence of auditor 0" in failure(verdict, 3, "evidence")


def test_an_unpinned_development_root_makes_evidence_self_asserted() -> None:
    files, policy = anchored_world()
    verdict = verify(files, replace(policy, pins=replace(policy.pins, evidence_roots=())))
    unmet(verdict, "attested", "self-asserted")
    assert verdict.self_asserted == ("attested",)


def test_a_key_without_evidence_among_others_leaves_the_run_unattested() -> None:
    class Shy(AnchoredWorld):
        def join(self, role: str, slot: Worker) -> None:
            platform, self.platform = self.platform, None if (role, slot) == ("worker", 1) else self.platform
            super().join(role, slot)
            self.platform = platform

    unmet(judge(Shy(outcome=caught, evidence=True)), "attested", "worker 1 gave no evidence in key epoch 0")


def test_a_public_chain_reads_so_only_where_policy_and_chain_both_say_it() -> None:
    for chain_id, local, word in ((31_337, False, "local"), (1, True, "local"), (1, False, "public chain")):
        world = AnchoredWorld(outcome=caught, chain=Contracts(chain_id=chain_id))
        world.play()
        pin = replace(world.pin, local=local)
        verdict = verify(world.files, replace(world.policy, pins=replace(world.policy.pins, chain=pin)))
        assert verdict.outcome is Outcome.VERIFIED
        assert {item.qualifier for item in verdict.achieved if item.name != "attested"} == {"", word}
