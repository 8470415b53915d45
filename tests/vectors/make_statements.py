"""Make vectors/statements.json: `python -m tests.vectors.make_statements` from the root of the repository."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from attestrain.record.digest import sha256
from attestrain.record.eip712 import encode_type
from attestrain.record.statements import (
    KINDS,
    Aggregated,
    CommitClose,
    Finding,
    Join,
    LogOpen,
    Published,
    Receipt,
    RoundOpen,
    RunClose,
    Statement,
)
from attestrain.record.transcript import Log
from attestrain.rules.admission import Inadmissible, admit
from attestrain.rules.faults import faults
from attestrain.rules.ledger import Ledger
from attestrain.rules.membership import absences, candidates
from tests.vectors.teller import WORKERS, Said, Teller, key, refile, story

TARGET = Path(__file__).parents[2] / "vectors/statements.json"
CHANGES: list[tuple[str, type[Statement], dict[str, Any], int]] = [
    ("a participant takes a role that does not exist", Join, {"role": "judge"}, 3),
    ("a participant takes a slot beyond the run's", Join, {"worker": WORKERS}, 3),
    ("a slot starts with key epoch 1", Join, {"key_epoch": 1}, 3),
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

TWICE = {LogOpen: 2, Join: 3, RoundOpen: 2, Receipt: 4, CommitClose: 2, Published: 4, Aggregated: 8, Finding: 9}
"""Claim that the same statement breaks when it comes again."""


def place(said: list[Said], kind: type[Statement]) -> int:
    """Index of the first statement of a kind."""
    return next(index for index, item in enumerate(said) if isinstance(item.statement, kind))


def refusals(told: Teller) -> Iterator[tuple[str, int, Said, int]]:
    """What may not stand: why, after how many entries of the transcript, the statement, the claim it breaks."""
    for why, kind, changes, claim in CHANGES:
        index = place(told.said, kind)
        yield why, index, change(told.said[index], changes), claim
    for kind in KINDS.values():
        index = place(told.said, kind)
        item, name = told.said[index], kind.__name__
        yield f"{name} is about another run", index, change(item, {"run": sha256(b"another run")}), 1
        yield f"{name} is signed by somebody else", index, Said(item.statement, key("nobody")), 4
        if kind in TWICE:
            yield f"{name} comes twice", index + 1, item, TWICE[kind]
        yield f"{name} follows the end", len(told.said), item, 2
        if index:
            yield f"{name} precedes the opening of the log", 0, item, 2
        if "branch" in {field.name for field in fields(kind)}:
            yield f"{name} is on another branch", index, change(item, {"branch": 1}), 2


def change(item: Said, changes: dict[str, Any]) -> Said:
    """The same statement with other values, signed by the same key."""
    return Said(replace(item.statement, **changes), item.key)


def example(kind: type[Statement], said: list[Said]) -> dict[str, Any]:
    """One statement from type to entry."""
    item = said[place(said, kind)]
    return {
        "format": kind.FORMAT,
        "type": encode_type(kind.__name__, kind.type_fields()),
        "digest": item.statement.signing_digest().hex(),
        "secret": item.key.to_bytes().hex(),
        "signer": item.key.address,
        "entry": item.signed.to_bytes().decode(),
    }


def derived(ledger: Ledger) -> dict[str, Any]:
    """What follows from the whole transcript."""
    return {
        "candidates": {str(round_): candidates(ledger, round_) for round_ in ledger.rounds},
        "absences": {
            str(round_): {str(worker): reason for worker, reason in absences(ledger, round_).items()}
            for round_ in ledger.rounds
        },
        "faults": {
            str(fault.worker): {"round": fault.round, "segment": fault.segment, "entry": fault.index}
            for fault in faults(ledger).values()
        },
    }


def make() -> dict[str, Any]:
    """Everything in the file."""
    told = story()
    entries = [item.signed.to_bytes() for item in told.said]
    refused = []
    for why, after, item, claim in refusals(told):
        try:
            admit(refile(told.spec, told.said[:after]), item.signed)
        except Inadmissible as error:
            text = item.signed.to_bytes().decode()
            refused.append({"why": why, "after": after, "entry": text, "claim": error.claim})
            if error.claim != claim:
                raise AssertionError(f"{why}: {error}") from error
        else:
            raise AssertionError(f"admitted although {why}")
    return {
        "spec": told.spec.to_bytes().decode(),
        "run": told.spec.run_id.hex(),
        "statements": [example(kind, told.said) for kind in KINDS.values()],
        "transcript": {
            "entries": [entry.decode() for entry in entries],
            "root": Log(entries).root().hex(),
            **derived(told.ledger),
        },
        "refused": refused,
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(make(), indent=1) + "\n")
