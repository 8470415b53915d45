"""Attacks on rounds that overlap: a round that starts from another checkpoint than the delay gives it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from attestrain.record.digest import ZERO_DIGEST, Digest, sha256
from attestrain.record.names import Round, Worker
from attestrain.record.spec import RunSpec
from attestrain.record.statements import RoundOpen, Statement
from attestrain.record.trace import Trace
from attestrain.rules.admission import Inadmissible
from attestrain.verify.checks import Status
from attestrain.verify.verdict import Outcome, Verdict
from attestrain.verify.verifier import verify
from tests.algorithms import PLAIN
from tests.attacks.world import LAYOUT, World, tiny_spec


def delayed_spec(rounds: int = 4) -> RunSpec:
    state = {**tiny_spec().state, "start": 4 * LAYOUT.parameters}
    return tiny_spec(rounds=rounds, overlap=replace(PLAIN, delay=1), state=state)


@dataclass
class Delayed(World):
    """Every round opens and is trained before the one before it is published and aggregated."""

    spec: RunSpec = field(default_factory=lambda: delayed_spec())

    def rounds(self) -> None:
        last = self.spec.schedule.rounds - 1
        for number in range(last + 1):
            self.begin(Round(number))
            if number:
                self.finish(Round(number - 1))
            self.close(Round(number))
        self.finish(Round(last))


def failure(verdict: Verdict, claim: int) -> str:
    return next(check.detail for check in verdict.checks if check.claim == claim and check.status is Status.FAIL)


def judge(world: World) -> Verdict:
    return verify(world.files, world.policy)


def test_the_honest_world_is_verified() -> None:
    verdict = judge(Delayed().play())
    assert verdict.outcome is Outcome.VERIFIED, verdict


@dataclass
class Elsewhere(Delayed):
    """The sequencer opens round 2 on a checkpoint that the delay does not give it."""

    base: Digest = ZERO_DIGEST

    def say(self, statement: Statement, role: str = "sequencer", slot: int = 0, kind: str = "session") -> None:
        if isinstance(statement, RoundOpen) and statement.round == 2:
            statement = replace(statement, base=self.base)
        super().say(statement, role, slot, kind)


@pytest.mark.parametrize("which", ["the first", "nobody's"])
def test_a_round_cannot_be_opened_on_another_checkpoint(which: str) -> None:
    base = Delayed().checkpoint.record.digest if which == "the first" else sha256(b"nobody's")
    with pytest.raises(Inadmissible, match="round 2 does not start from checkpoint 1"):
        Elsewhere(base=base).play()


class Hasty(Delayed):
    """The sequencer aggregates round 1 before round 0."""

    def finish(self, round_: Round) -> None:
        if round_ == 0:
            return
        super().finish(round_)


def test_rounds_cannot_be_aggregated_out_of_order_nor_two_be_left_open() -> None:
    with pytest.raises(Inadmissible, match="round 2 opens before round 0 is aggregated"):
        Hasty().play()
    world = Hasty(spec=delayed_spec(rounds=2))
    with pytest.raises(Inadmissible, match="round 1 is aggregated out of order"):
        world.play()


class Ahead(Delayed):
    """Worker 1 starts round 2 from parameters of its own choice and otherwise does what everybody does."""

    def train(self, round_: Round, slot: Worker, beacon: Digest) -> tuple[Trace, bytes]:
        if (round_, slot) != (2, 1):
            return super().train(round_, slot, beacon)
        honest = self.checkpoint
        self.checkpoint = replace(honest, params=(honest.params * np.float32(1.5)).astype(np.float32))
        try:
            return super().train(round_, slot, beacon)
        finally:
            self.checkpoint = honest


def test_a_worker_that_starts_from_other_parameters_breaks_continuity() -> None:
    verdict = judge(Ahead().play())
    assert verdict.outcome is Outcome.REFUTED
    assert "worker 1 round 2 segment 0 (adopt) does not adopt the checkpoint's parameters" in failure(verdict, 5)


def test_a_worker_that_counts_its_drift_from_elsewhere_breaks_continuity() -> None:
    def edit(trace: Trace, update: bytes) -> tuple[Trace, bytes]:
        if (trace.round, trace.worker) != (3, 0):
            return trace, update
        return replace(
            trace, states=tuple({**state, "start": trace.states[0]["start"]} for state in trace.states)
        ), update

    verdict = judge(Delayed(edit=edit).play())
    assert verdict.outcome is Outcome.REFUTED
    assert "does not start from the parameters it adopted" in failure(verdict, 5)


class Misnamed(Delayed):
    """Worker 1 sends an update that says it began round 3 at the first checkpoint, and commits to it."""

    def compress(self, round_: Round, slot: Worker, state: dict[str, np.ndarray]) -> bytes:
        data = super().compress(round_, slot, state)
        if (round_, slot) != (3, 1):
            return data
        here, there = self.checkpoint.record.digest, self.ledger.rounds[Round(0)].opened.statement.base
        assert data.count(here) == 1
        return data.replace(here, there)


def test_an_update_from_another_checkpoint_than_the_rounds_is_left_out() -> None:
    verdict = judge(Misnamed().play())
    assert verdict.outcome is Outcome.VERIFIED, verdict
    assert verdict.workers[1].aggregated == (0, 1, 2)
    assert verdict.workers[0].aggregated == (0, 1, 2, 3)
