"""Insiders who lie about nothing and say it at the wrong time, or too few to say it: `replayed` is not achieved."""

from __future__ import annotations

from pathlib import Path

import pytest

from attestrain.errors import FormatError
from attestrain.record.bundle import MAX_FOLDERS, FolderFiles
from attestrain.record.names import Round
from attestrain.record.trace import Trace
from attestrain.rules.admission import Inadmissible
from attestrain.verify.verdict import Outcome, Verdict
from attestrain.verify.verifier import verify
from tests.attacks.world import World, tiny_spec


def unmet(verdict: Verdict) -> dict[str, str]:
    return {item.name: item.reason for item in verdict.unmet}


class HeldBack(World):
    """A sequencer that lets the auditor speak only when the run is nearly over."""

    def audit(self, round_: Round) -> None:
        if round_ == self.spec.schedule.rounds - 1:
            for earlier in range(round_ + 1):
                super().audit(Round(earlier))


def test_findings_held_back_until_the_end_keep_nobody_out() -> None:
    world = HeldBack(outcome=lambda round_, worker, segment: "fault" if worker == 1 else "exact").play()
    verdict = verify(world.files, world.policy)
    assert verdict.outcome is Outcome.CONSISTENT
    assert "after the next commit list" in unmet(verdict)["replayed"]


def test_one_auditor_cannot_cast_two_votes() -> None:
    world = World(spec=tiny_spec(audit_votes=2)).play()
    verdict = verify(world.files, World(spec=world.spec, auditors=2).policy)
    assert verdict.outcome is Outcome.CONSISTENT
    assert "too few auditors" in unmet(verdict)["replayed"]


def test_tolerance_is_not_for_auditors_of_the_same_class() -> None:
    with pytest.raises(Inadmissible, match="only equality counts"):
        World(outcome=lambda round_, worker, segment: "tolerance").play()


class LatePublisher(World):
    """Worker 1 publishes its first round only at the end: its update moved nothing, and no draw over it is due."""

    def publish(self, trace: Trace, update: bytes) -> None:
        if (trace.round, trace.worker) == (0, 1):
            self.held = (trace, update)
        else:
            super().publish(trace, update)

    def audit(self, round_: Round) -> None:
        super().audit(round_)
        if round_ == self.spec.schedule.rounds - 1:
            super().publish(*self.held)


def test_a_late_publication_closes_its_gap_and_spoils_nothing() -> None:
    world = LatePublisher().play()
    verdict = verify(world.files, world.policy)
    assert verdict.outcome is Outcome.VERIFIED, unmet(verdict)


def test_a_folder_without_end_is_refused_and_not_followed(tmp_path: Path) -> None:
    tmp_path.joinpath(*["a"] * (MAX_FOLDERS + 2)).mkdir(parents=True)
    with pytest.raises(FormatError, match="too deep"):
        list(FolderFiles(tmp_path).paths())
