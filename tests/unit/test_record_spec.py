from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from attestrain.errors import FormatError
from attestrain.record.digest import sha256
from attestrain.record.spec import RunSpec, Schedule
from tests.vectors.teller import make_spec

SPEC = make_spec()
DOCUMENT: dict[str, Any] = json.loads(SPEC.to_bytes())
FREE = ("task", "config")
"""The one place where a document may hold what a task wants there."""


def spelled(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


Path = tuple[str | int, ...]


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place in a document below the top, except the free one."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in children:
        if (*path, key) != FREE:
            yield (*path, key)
            yield from places(item, (*path, key))


def at(document: Any, path: Path) -> Any:
    for key in path:
        document = document[key]
    return document


def changed(path: Path, value: object) -> bytes:
    document = deepcopy(DOCUMENT)
    at(document, path[:-1])[path[-1]] = value
    return spelled(document)


def test_a_spec_reads_back():
    read = RunSpec.from_bytes(SPEC.to_bytes())
    assert read == SPEC
    assert read.to_bytes() == SPEC.to_bytes()
    assert read.run_id == SPEC.run_id == sha256(SPEC.to_bytes())


@pytest.mark.parametrize("mode", ["recorded", "chain"])
def test_both_sources_of_beacons_read_back_and_are_part_of_the_name(mode: str):
    spec = make_spec(beacon_mode=mode)
    assert RunSpec.from_bytes(spec.to_bytes()) == spec
    assert (spec.run_id == SPEC.run_id) == (mode == "recorded")


@pytest.mark.parametrize("path", list(places(DOCUMENT)), ids=str)
def test_what_cannot_stand_at_a_place_is_refused_there(path: Path):
    old = at(DOCUMENT, path)
    wrong: list[object] = [None, True, 1.5, 1e300, "\u00e9", "\x1b[2J", -(2**40), 2**53, 10**30, [None]]
    if not isinstance(old, int):
        wrong.append(1)
    if not isinstance(old, dict):
        wrong.append({})
    for value in wrong:
        with pytest.raises(FormatError):
            RunSpec.from_bytes(changed(path, value))


OWN_NAMES = {("state",), *((part, "settings") for part in ("inner", "codec", "aggregate", "outer"))}
"""Objects whose keys the run chooses."""
OBJECTS = [path for path in ((), *places(DOCUMENT)) if isinstance(at(DOCUMENT, path), dict) and path not in OWN_NAMES]


@pytest.mark.parametrize("path", OBJECTS, ids=str)
def test_objects_have_exactly_their_keys(path: Path):
    for key in at(DOCUMENT, path):
        document = deepcopy(DOCUMENT)
        del at(document, path)[key]
        with pytest.raises(FormatError, match="unknown or missing"):
            RunSpec.from_bytes(spelled(document))
    with pytest.raises(FormatError, match="unknown or missing"):
        RunSpec.from_bytes(changed((*path, "extra"), 1))


LIMITS: list[tuple[Path, object]] = [
    (("schedule", "rounds"), 0),
    (("schedule", "rounds"), 3),
    (("schedule", "steps"), 10_001),
    (("schedule", "segment_steps"), 0),
    (("schedule", "batch"), 0),
    (("schedule", "workers"), 10_001),
    (("schedule", "sequence_tokens"), (1 << 24) + 1),
    (("inner", "rates"), "3a83126f" * 7),
    (("inner", "rates"), "3a83126f" * 9),
    (("inner", "rates"), "3A83126F" * 8),
    (("inner", "name"), "adam"),
    (("inner", "settings"), {"lr": "1e-3"}),
    (("inner", "settings"), {"lr": 1}),
    (("inner", "settings"), {f"s{i}": "1" for i in range(65)}),
    (("codec", "block"), 15),
    (("codec", "name"), "zip"),
    (("codec", "feedback"), "1.0000001"),
    (("screen", "norm_clip"), "-1"),
    (("screen", "norm_clip"), "1000001"),
    (("codec", "settings"), {"keep": "1e3"}),
    (("overlap", "fragments"), 0),
    (("overlap", "delay"), 2),
    (("overlap", "blend"), "1.1"),
    (("aggregate", "name"), "vote"),
    (("aggregate", "settings"), {"trim": 1}),
    (("schedule", "accumulate"), 3),
    (("outer", "settings"), {"momentum": 2}),
    (("outer", "rates"), "3a83126f"),
    (("outer", "rates"), "ffffffff" * 2),
    (("outer", "rates"), "7f800000" * 2),
    (("outer", "rates"), "bf800000" * 2),
    (("beacon", "mode"), "dice"),
    (("audit", "fraction"), "1.1"),
    (("audit", "votes"), 0),
    (("audit", "votes"), 65),
    (("state",), {}),
    (("state",), {f"c{i}": 1 for i in range(65)}),
    (("state",), {"": 1}),
    (("state",), {"x" * 65: 1}),
    (("state",), {"opt.\x1b[2J": 1}),
    (("state",), {"params": -1}),
    (("state",), {"params": (1 << 44) + 1}),
    (("seed",), -1),
    (("name",), "x" * 257),
    (("layout",), []),
    (("layout",), [DOCUMENT["layout"][0]] * 2),
]


@pytest.mark.parametrize(("path", "value"), LIMITS, ids=[f"{path}-{i}" for i, (path, _) in enumerate(LIMITS)])
def test_limits(path: Path, value: object):
    with pytest.raises(FormatError):
        RunSpec.from_bytes(changed(path, value))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("audit", "fraction"), "1.000000000000000001"),
        (("codec", "feedback"), "1.000000000000000001"),
        (("overlap", "blend"), "1.000000000000000001"),
        (("screen", "norm_clip"), "1000000.000000000000000001"),
        (("audit", "fraction"), "-0.000000000000000001"),
    ],
)
def test_limits_of_decimals_are_exact(path: Path, text: str):
    assert float(text) in (0.0, 1.0, 1e6, -1e-18)
    with pytest.raises(FormatError):
        RunSpec.from_bytes(changed(path, text))


def test_a_round_must_not_have_more_tokens_than_a_receipt_can_count():
    schedule = {
        "batch": 1_000_000,
        "accumulate": 1,
        "rounds": 1,
        "segment_steps": 1,
        "sequence_tokens": 1 << 24,
        "steps": 1000,
        "workers": 1,
    }
    document = DOCUMENT | {"schedule": schedule, "inner": DOCUMENT["inner"] | {"rates": "3a83126f" * 1000}}
    with pytest.raises(FormatError, match="more than a receipt can count"):
        RunSpec.from_bytes(spelled(document))


def test_every_field_is_part_of_the_name():
    names = {SPEC.run_id}
    others = [path for path in places(DOCUMENT) if isinstance(at(DOCUMENT, path), str | int) and path != ("format",)]
    for path in others:
        document = deepcopy(DOCUMENT)
        old = at(document, path)
        at(document, path[:-1])[path[-1]] = old + 1 if isinstance(old, int) else old[::-1] + "x"
        names.add(sha256(spelled(document)))
    assert len(names) == len(others) + 1


def test_equal_but_distinct_specs_have_the_same_name_and_changed_ones_another():
    assert make_spec() is not SPEC
    assert make_spec().run_id == SPEC.run_id
    assert replace(SPEC, audit_votes=1).run_id != SPEC.run_id
    assert replace(SPEC, state={**SPEC.state, "opt.v": 8}).run_id != SPEC.run_id


@pytest.mark.parametrize(
    ("steps", "segment_steps", "segments", "ranges"),
    [
        (4, 2, 4, [[], [0, 1], [2, 3], []]),
        (5, 2, 5, [[], [0, 1], [2, 3], [4], []]),
        (1, 10, 3, [[], [0], []]),
        (3, 1, 5, [[], [0], [1], [2], []]),
    ],
)
def test_segments_divide_the_steps(steps: int, segment_steps: int, segments: int, ranges: list[list[int]]):
    schedule = Schedule(2, steps, segment_steps, batch=3, accumulate=1, sequence_tokens=7, workers=2)
    assert schedule.segments == segments
    assert [list(schedule.steps_of(index)) for index in range(segments)] == ranges
    assert list(schedule.steps_of(-1)) == list(schedule.steps_of(segments)) == []
    assert schedule.round_tokens == steps * 21
    assert schedule.total_steps == 2 * steps


def test_a_rate_is_read_from_its_place_in_the_table():
    inner = replace(SPEC.inner, rates="".join(f"{step:08x}" for step in range(8)))
    assert [inner.rate_bits(step) for step in range(8)] == list(range(8))
