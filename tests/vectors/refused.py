"""Statements that may not stand where they stand, made from a story: the rules' own list of what can go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

from attestrain.record.digest import sha256
from attestrain.record.keys import SigningKey
from attestrain.record.names import Round, Size
from attestrain.record.statements import (
    KINDS,
    Aggregated,
    Beacon,
    CommitClose,
    Finding,
    Join,
    Leave,
    LogOpen,
    Published,
    Receipt,
    RoundOpen,
    RunClose,
    Statement,
)
from tests.vectors.teller import WORKERS, Said, Teller, chain_spec, key, participant

Refusal = tuple[str, int, Said, int]
"""Why, after how many entries of the transcript, the statement, the claim it breaks."""

CHANGES: list[tuple[str, type[Statement], dict[str, Any], int]] = [
    ("a participant takes a role that does not exist", Join, {"role": "judge"}, 3),
    ("a participant takes a slot beyond the run's", Join, {"worker": WORKERS}, 3),
    ("a slot starts with key epoch 1", Join, {"key_epoch": 1}, 3),
    ("a slot is left that nobody took", Leave, {"worker": 9}, 3),
    ("a slot of the other role is left", Leave, {"role": "worker"}, 3),
    ("a key epoch is left that is not the slot's", Leave, {"key_epoch": 1}, 3),
    ("the first beacon has a later epoch", Beacon, {"epoch": 1}, 2),
    ("the first beacon rests on an anchor", Beacon, {"size": 1}, 2),
    ("the first beacon rests on a root", Beacon, {"root": sha256(b"x")}, 2),
    ("a round is opened out of order", RoundOpen, {"round": 1}, 2),
    ("a round has a beacon of someone's choice", RoundOpen, {"beacon": sha256(b"mine")}, 6),
    ("a receipt is for a round that is not open", Receipt, {"round": 1}, 4),
    ("a receipt comes from a slot that nobody took", Receipt, {"worker": 9}, 3),
    ("a receipt is outside its key epoch", Receipt, {"key_epoch": 1}, 3),
    ("a receipt builds on another checkpoint", Receipt, {"base": sha256(b"older")}, 4),
    ("a receipt counts too many tokens", Receipt, {"tokens": 65}, 4),
    ("a receipt comes from an unregistered environment", Receipt, {"environment": sha256(b"x")}, 3),
    ("a close is for a round that is not open", CommitClose, {"round": 1}, 2),
    ("a close miscounts the receipts", CommitClose, {"receipts": 2}, 4),
    ("a close commits to other receipts", CommitClose, {"commitment": sha256(b"x")}, 4),
    ("work is published that was never committed", Published, {"worker": 9}, 4),
    ("another trace is published than was committed", Published, {"trace_root": sha256(b"x")}, 4),
    ("another update is published than was committed", Published, {"update_root": sha256(b"x")}, 4),
    ("work is published outside its key epoch", Published, {"key_epoch": 1}, 3),
    ("a round is aggregated that is not open", Aggregated, {"round": 1}, 8),
    ("a finding is about a worker that does not exist", Finding, {"worker": 9}, 9),
    ("a finding is about a segment that does not exist", Finding, {"segment": 2**53 - 1}, 9),
    ("a finding is by an auditor who was not drawn", Finding, {"auditor": 7}, 9),
    ("a finding has an outcome of its own", Finding, {"outcome": "fine", "observed": sha256(b"x")}, 9),
    ("a finding says exact of two results", Finding, {"observed": sha256(b"x")}, 9),
    ("a finding says fault of one result", Finding, {"outcome": "fault"}, 9),
    ("a finding comes from an unregistered environment", Finding, {"environment": sha256(b"x")}, 3),
    ("a finding is outside its key epoch", Finding, {"key_epoch": 1}, 3),
    ("the run closes after other rounds", RunClose, {"rounds": 1}, 2),
    ("the run closes on another checkpoint", RunClose, {"checkpoint": sha256(b"x")}, 8),
]
"""One-line changes to the first statement of a kind, with the number of the claim that each breaks."""

TWICE: dict[type[Statement], int] = {
    LogOpen: 2,
    Join: 3,
    Leave: 3,
    Beacon: 2,
    RoundOpen: 2,
    Receipt: 4,
    CommitClose: 2,
    Published: 4,
    Aggregated: 8,
    Finding: 9,
}
"""Claim that the same statement breaks when it comes again."""


def place(said: list[Said], kind: type[Statement], number: int = 0, **quantities: object) -> int:
    """Index of a statement of a kind that has such quantities: the first, or as many later as ``number`` says."""
    wanted = quantities.items()
    found = [
        index
        for index, item in enumerate(said)
        if isinstance(item.statement, kind) and all(getattr(item.statement, name) == value for name, value in wanted)
    ]
    return found[number]


def change(item: Said, changes: dict[str, Any]) -> Said:
    """The same statement with other values, signed by the same key."""
    return Said(replace(item.statement, **changes), item.key)


def by(item: Said, account: SigningKey) -> Said:
    """The same statement by another participant, signed as such."""
    return Said(replace(item.statement, participant=account.address), account)  # type: ignore[call-arg]


def kinds(told: Teller) -> list[type[Statement]]:
    """Kinds of statements that a story has."""
    there = {type(item.statement) for item in told.said}
    return [kind for kind in KINDS.values() if kind in there]


def refusals(told: Teller) -> Iterator[Refusal]:
    """What may not stand in a story."""
    there = kinds(told)
    for why, kind, changes, claim in CHANGES:
        if kind in there:
            index = place(told.said, kind)
            yield why, index, change(told.said[index], changes), claim
    for kind in there:
        yield from _of_any_kind(told, kind)
    yield from _on_a_chain(told) if told.spec.beacon_mode == "chain" else _without_a_chain(told)
    if told.spec.overlap.delay:
        yield from _with_a_delay(told)


def _of_any_kind(told: Teller, kind: type[Statement]) -> Iterator[Refusal]:
    index, name = place(told.said, kind), kind.__name__
    item = told.said[index]
    yield f"{name} is about another run", index, change(item, {"run": sha256(b"another run")}), 1
    yield f"{name} is signed by somebody else", index, Said(item.statement, key("nobody")), 4
    if kind in TWICE:
        yield f"{name} comes twice", index + 1, item, TWICE[kind]
    yield f"{name} follows the end", len(told.said), item, 2
    if index:
        yield f"{name} precedes the opening of the log", 0, item, 2
    if "branch" in {field.name for field in fields(kind)}:
        yield f"{name} is on another branch", index, change(item, {"branch": 1}), 2


def _without_a_chain(told: Teller) -> Iterator[Refusal]:
    beacon = Teller(chain_spec()).make_beacon(0)
    said = Said(replace(beacon, run=told.spec.run_id), key("sequencer"))
    yield "a beacon is heard in a run that has a recorded one", place(told.said, RoundOpen), said, 2


def _on_a_chain(told: Teller) -> Iterator[Refusal]:
    yield from _beacons_out_of_place(told)
    yield from _work_without_a_beacon(told)
    yield from _keys_that_ended(told)


def _with_a_delay(told: Teller) -> Iterator[Refusal]:
    said, close = told.said, place(told.said, CommitClose)
    second, third = place(said, RoundOpen, round=1), place(said, RoundOpen, round=2)
    first, last = place(said, Aggregated, round=0), place(said, Aggregated, round=2)
    yield "a round is opened before the one before it is closed", close, said[second], 2
    yield "a round is opened before the checkpoint that it starts from is known", first, said[third], 2
    yield "a round is opened on an older checkpoint than its own", third, _based(told, third, 0), 8
    yield "a round is opened on a newer checkpoint than its own", third, _based(told, third, 2), 8
    yield "the second round is opened on the checkpoint that the first one makes", second, _based(told, second, 1), 8
    receipt = place(said, Receipt, round=1)
    yield "a receipt builds on the checkpoint that the round before makes", receipt, _based(told, receipt, 1), 4
    yield "a round is aggregated before it is closed", close, said[first], 8
    yield "a round is aggregated before the one before it", first, said[place(said, Aggregated, round=1)], 8
    yield "the run closes before its last round is aggregated", last, said[-1], 2


def _based(told: Teller, index: int, number: int) -> Said:
    """A statement that names checkpoint ``number`` as its base."""
    return change(told.said[index], {"base": told.ledger.checkpoint(Round(number))})


def _beacons_out_of_place(told: Teller) -> Iterator[Refusal]:
    said, second = told.said, place(told.said, Beacon, epoch=1)
    close = place(said, CommitClose, round=0)
    yield "a beacon is heard before the round is closed", close, said[second], 2
    yield "a beacon skips an epoch", second, change(said[second], {"epoch": 2}), 2
    yield "the first beacon comes again later", second, said[place(said, Beacon)], 2
    short, long = {"size": Size(close)}, {"size": Size(second + 1)}
    yield "a beacon rests on an anchor without the close", second, change(said[second], short), 2
    yield "a beacon rests on an anchor of nothing", second, change(said[second], {"size": Size(0)}), 2
    yield "a beacon rests on an anchor of what nobody had said", second, change(said[second], long), 2


def _work_without_a_beacon(told: Teller) -> Iterator[Refusal]:
    said, beacon = told.said, place(told.said, Beacon, epoch=1)
    yield "a round is opened before the chain was heard", place(said, Beacon), said[place(said, RoundOpen)], 6
    yield "work is published before the chain was heard", beacon, said[place(said, Published)], 4
    yield "a finding is given before the chain was heard", beacon, said[place(said, Finding)], 9
    other = {"beacon": told.make_round_open(0).beacon}
    opened = place(said, RoundOpen, round=1)
    yield "a round has the beacon of another round", opened, change(said[opened], other), 6


def _keys_that_ended(told: Teller) -> Iterator[Refusal]:
    """Of worker 0, whose first key ends with round 0, and of worker 2 and auditor 1, who leave and come back."""
    said = told.said
    first = said[place(said, Receipt, worker=0)]
    renewed, receipt = place(said, Join, worker=0, key_epoch=1), place(said, Receipt, worker=0, round=1)
    late = Said(replace(said[receipt].statement, key_epoch=0), first.key)  # type: ignore[call-arg]
    yield "a receipt is signed by a key that ended with the round before", renewed, late, 3
    yield "a receipt is signed by a key whose next epoch has begun", receipt, late, 3

    gone, back = place(said, Leave, role="worker"), place(said, Join, worker=2, role="worker", key_epoch=1)
    old, again = said[place(said, Receipt, worker=2)], said[place(said, Receipt, worker=2, round=2)]
    back_in = Said(replace(again.statement, key_epoch=0), old.key)  # type: ignore[call-arg]
    yield "a receipt comes from a worker who left", back, back_in, 3
    yield "a receipt comes under a key epoch that was left", place(said, Receipt, round=2), back_in, 3
    published = replace(told.make_published(1, 2), key_epoch=0)  # type: ignore[arg-type]
    yield "work is published by a worker who left", place(said, Published, round=1), Said(published, old.key), 3
    yield "a worker comes back as in the key epoch that was left", back, said[place(said, Join, worker=2)], 3
    yield "a worker comes back with its old session key", back, change(said[back], {"session": old.key.address}), 3
    yield "a slot that was left is taken by another", back, by(said[back], participant("worker", 0)), 3
    yield "a participant leaves for another", gone, by(said[gone], participant("worker", 0)), 3
    yield "an epoch that was left is left once more", back + 1, said[gone], 3

    answer = said[place(said, Finding, auditor=1, key_epoch=1)]
    owed = said[place(said, Finding, auditor=1)]
    finding = Said(replace(answer.statement, key_epoch=0), owed.key)  # type: ignore[call-arg]
    yield "a finding comes from an auditor who left", place(said, Leave, role="auditor") + 1, finding, 3
    other = said[place(said, Finding, round=1)].statement
    absent = Said(replace(other, auditor=1, key_epoch=1), answer.key)  # type: ignore[call-arg]
    yield "a finding is by an auditor who was away at the close", back, absent, 9
