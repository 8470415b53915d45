"""Attacks on adaptive ranks: a checkpoint whose plan lies, and workers that compress to another rank than planned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from attestrain.record.names import Round, Worker
from attestrain.record.plan import Adaptive, Plan
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Aggregated, Statement
from attestrain.replay.segment import replay_segment
from attestrain.train.settings import state_sizes
from attestrain.update.codec import memory_size
from attestrain.update.feedback import Kept, compress
from attestrain.update.header import UpdateHeader
from attestrain.verify.checks import Status
from attestrain.verify.verdict import Outcome, Verdict
from attestrain.verify.verifier import verify
from tests.algorithms import make_codec
from tests.attacks.world import LAYOUT, TRUNK, World, tiny_spec
from tests.unit.replay_world import honest_world
from tests.unit.replay_world import tiny_spec as trained_spec

CODEC = make_codec("lowrank", rank="6")
RULE = Adaptive("0.9", 1, 1)


def adaptive_spec() -> RunSpec:
    state = {**tiny_spec().state, "codec": 4 * memory_size(CODEC, LAYOUT)}
    return replace(tiny_spec(rounds=4, state=state), codec=CODEC, adaptive=RULE)


@dataclass
class Adapting(World):
    """Workers compress to the rank of the plan; ``ranks`` are those of the rounds so far."""

    spec: RunSpec = field(default_factory=adaptive_spec)
    ranks: list[int] = field(default_factory=list)

    def begin(self, round_: Round) -> None:
        self.ranks.append(self.rank(round_, Worker(0)))
        super().begin(round_)

    def rank(self, round_: Round, slot: Worker) -> int:
        planned = self.checkpoint.record.rank_of(round_)
        assert planned is not None
        return planned

    def compress(self, round_: Round, slot: Worker, state: dict[str, np.ndarray]) -> bytes:
        header = UpdateHeader(self.spec.run_id, TRUNK, round_, slot, self.checkpoint.record.digest)
        drift = self.checkpoint.params - state["params"].view(np.float32)
        before = Kept(state["ef"].view(np.float32), state["codec"].view(np.float32))
        update, kept = compress(self.spec, header, drift, before, self.rank(round_, slot))
        assert kept.ef is not None
        state["ef"], state["codec"] = kept.ef.view(np.uint8), kept.memory.view(np.uint8)
        return update


def judge(world: World) -> Verdict:
    return verify(world.files, world.policy)


def failure(verdict: Verdict, claim: int) -> str:
    return next(check.detail for check in verdict.checks if check.claim == claim and check.status is Status.FAIL)


def test_the_honest_world_is_verified_and_its_rank_falls() -> None:
    world = Adapting()
    verdict = judge(world.play())
    assert verdict.outcome is Outcome.VERIFIED, verdict
    assert world.ranks[0] == 6 > world.ranks[-1]


@dataclass
class Planning(Adapting):
    """The sequencer names, after round 1, a checkpoint with another plan, and everybody goes on from it."""

    lie: Callable[[Plan], Plan | None] = lambda plan: plan

    def say(self, statement: Statement, role: str = "sequencer", slot: int = 0, kind: str = "session") -> None:
        if isinstance(statement, Aggregated) and statement.round == 1:
            record = self.checkpoint.record
            assert record.plan is not None
            self.checkpoint = replace(self.checkpoint, record=replace(record, plan=self.lie(record.plan)))
            statement = replace(statement, checkpoint=self.checkpoint.record.digest)
        super().say(statement, role, slot, kind)


LIES: dict[str, Callable[[Plan], Plan | None]] = {
    "the first rank again": lambda plan: replace(plan, ranks=(6,)),
    "a lower rank": lambda plan: replace(plan, ranks=(1,)),
    "another estimate": lambda plan: replace(plan, estimates=(6,)),
    "one estimate more": lambda plan: replace(plan, estimates=(*plan.estimates, 1)),
}


def test_the_truth_told_by_that_sequencer_is_verified() -> None:
    assert judge(Planning().play()).outcome is Outcome.VERIFIED


@pytest.mark.parametrize("lie", LIES)
def test_a_checkpoint_whose_plan_lies_is_refuted(lie: str) -> None:
    verdict = judge(Planning(lie=LIES[lie]).play())
    assert verdict.outcome is Outcome.REFUTED
    assert "checkpoint 2 does not follow from the updates of round 1" in failure(verdict, 8)


class Stubborn(Adapting):
    """Worker 1 goes on with the first rank when the plan is another one."""

    def rank(self, round_: Round, slot: Worker) -> int:
        return 6 if slot == 1 else super().rank(round_, slot)


def test_an_update_of_another_rank_than_planned_is_left_out() -> None:
    world = Stubborn()
    verdict = judge(world.play())
    assert verdict.outcome is Outcome.VERIFIED, verdict
    planned = tuple(round_ for round_, rank in enumerate(world.ranks) if rank == 6)
    assert verdict.workers[1].aggregated == planned != (0, 1, 2, 3)
    assert verdict.workers[0].aggregated == (0, 1, 2, 3)


def trained() -> RunSpec:
    """A run that is really trained, with low-rank updates of a rank that falls."""
    spec = trained_spec()
    state = state_sizes(spec.layout, spec.inner.name, CODEC, spec.overlap)
    return RunSpec.from_bytes(replace(spec, codec=CODEC, state=state, adaptive=Adaptive("0.5", 1, 1)).to_bytes())


def test_a_worker_that_compresses_to_another_rank_loses_the_replay_of_that_segment() -> None:
    world = honest_world(spec=trained())
    checkpoint, last = world.checkpoints[1], world.spec.schedule.segments - 1
    planned = checkpoint.record.rank_of(Round(1))
    assert planned is not None
    assert planned < 6
    for rank, outcome in ((planned, "exact"), (planned + 1, "fault"), (6, "fault"), (None, "fault")):
        work = world.work(1, rank=rank)
        replayed = replay_segment(
            world.engine, world.spec, work.trace, last, work.states[last], checkpoint, world.batches(1)
        )
        assert (replayed.kind, replayed.outcome) == ("compress", outcome), rank
