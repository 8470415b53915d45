from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from attestrain.errors import FormatError
from attestrain.record.canonical import canonical
from attestrain.record.checkpoint import CheckpointRecord
from attestrain.record.names import Round
from attestrain.record.plan import MAX_AHEAD, MAX_PLANNED_RANK, MAX_WINDOW, Adaptive, Plan
from attestrain.record.spec import Merge, RunSpec
from tests.unit.test_record_checkpoint import RECORD
from tests.vectors.make_update import adaptive_spec, make_codec, make_spec

PLANNED = replace(RECORD, plan=Plan((9, 7), (8, 7, 6)))
DOCUMENT: dict[str, Any] = json.loads(PLANNED.to_bytes())
SPEC: dict[str, Any] = json.loads(adaptive_spec().to_bytes())


def test_a_checkpoint_reads_back_with_its_plan_which_is_part_of_the_digest() -> None:
    assert CheckpointRecord.from_bytes(PLANNED.to_bytes()) == PLANNED
    others = [None, Plan((9, 6), (8, 7, 6)), Plan((9,), (8, 7, 6)), Plan((9, 7), (8, 7))]
    assert len({PLANNED.digest, *(replace(PLANNED, plan=other).digest for other in others)}) == 5


def test_a_plan_knows_the_ranks_of_the_rounds_that_start_there_and_no_other() -> None:
    assert [PLANNED.rank_of(Round(number)) for number in (3, 4)] == [9, 7]
    for number in (2, 5):
        with pytest.raises(FormatError, match=f"has no plan of round {number}"):
            PLANNED.rank_of(Round(number))
    assert RECORD.rank_of(Round(99)) is None


@pytest.mark.parametrize(
    "plan",
    [
        {"ranks": [], "estimates": []},
        {"ranks": [1] * (MAX_AHEAD + 1), "estimates": []},
        {"ranks": [0], "estimates": []},
        {"ranks": [MAX_PLANNED_RANK + 1], "estimates": []},
        {"ranks": [True], "estimates": []},
        {"ranks": ["1"], "estimates": []},
        {"ranks": 1, "estimates": []},
        {"ranks": [1], "estimates": [1] * (MAX_WINDOW + 1)},
        {"ranks": [1], "estimates": [0]},
        {"ranks": [1]},
        {"ranks": [1], "estimates": [], "steps": 1},
        None,
    ],
    ids=str,
)
def test_a_malformed_plan_is_refused(plan: object) -> None:
    with pytest.raises(FormatError):
        CheckpointRecord.from_bytes(canonical({**DOCUMENT, "plan": plan}))


def test_the_largest_plan_fits_into_a_checkpoint() -> None:
    largest = Plan((MAX_PLANNED_RANK,) * MAX_AHEAD, (MAX_PLANNED_RANK,) * MAX_WINDOW)
    record = replace(PLANNED, plan=largest, merged=RECORD.params)
    assert CheckpointRecord.from_bytes(record.to_bytes()) == record


def test_a_spec_reads_back_with_its_rule_and_is_another_run_without_it() -> None:
    spec = adaptive_spec()
    assert RunSpec.from_bytes(spec.to_bytes()) == spec
    assert replace(spec, adaptive=None).run_id != spec.run_id
    assert b"adaptive" not in make_spec("lowrank").to_bytes()


@pytest.mark.parametrize(
    "rule",
    [
        {"share": "1.01"},
        {"share": "-0.1"},
        {"share": 0.5},
        {"window": 0},
        {"window": MAX_WINDOW + 1},
        {"min_rank": 0},
        {"min_rank": 4},
        {"max_rank": 3},
        {"min_rank": None},
    ],
    ids=str,
)
def test_a_malformed_rule_is_refused(rule: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        RunSpec.from_bytes(canonical({**SPEC, "adaptive": {**SPEC["adaptive"], **rule}}))


def test_a_run_without_a_rank_or_with_merged_updates_cannot_adapt_it() -> None:
    rule = Adaptive("0.9", 3, 1)
    wrong = [
        make_spec("ternary", adaptive=rule),
        replace(make_spec("lowrank", adaptive=rule), codec=replace(make_codec("lowrank"), settings={"bits": "4"})),
        make_spec("lowrank", adaptive=rule, merge=Merge("int4", 16, {})),
    ]
    for spec in wrong:
        with pytest.raises(FormatError, match=r"spec\.adaptive needs codec lowrank"):
            RunSpec.from_bytes(spec.to_bytes())
