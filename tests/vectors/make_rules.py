"""Make vectors/rules.json: `python -m tests.vectors.make_rules` from the root of the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attestrain.record.digest import Digest, sha256
from attestrain.record.names import Round, Worker
from attestrain.rules.assignment import Assignment
from attestrain.rules.beacon import epoch_beacon
from attestrain.rules.bijection import Bijection
from attestrain.rules.draws import drawn_segments, draws
from attestrain.rules.faults import standing
from attestrain.rules.ledger import Ledger
from attestrain.rules.membership import members_root
from tests.vectors.stories import chain_story, delayed_story, story
from tests.vectors.teller import Teller, make_spec

TARGET = Path(__file__).parents[2] / "vectors/rules.json"
KEY = sha256(b"key")
SIZES = (1, 2, 3, 4, 5, 16, 17)
LARGE = (1000, 10**6, 2**32, 2**32 + 1, 2**62)
SEQUENCES = (100, 24, 7)
"""Sizes of a training split: larger than a round, exactly a round, smaller."""


def permutations() -> list[dict[str, Any]]:
    """The bijection: whole for small domains, at four points of large ones."""
    small = [{"size": size, "images": [Bijection(KEY, size)(i) for i in range(size)]} for size in SIZES]
    points = [{"size": size, "at": {str(i): Bijection(KEY, size)(i) for i in _points(size)}} for size in LARGE]
    return small + points


def _points(size: int) -> list[int]:
    return [0, 1, size // 2, size - 1]


def assignments(beacon: Digest) -> list[dict[str, Any]]:
    """Every batch of a round, for three sizes of the dataset."""
    schedule = make_spec().schedule
    made = []
    for sequences in SEQUENCES:
        assigned = Assignment(beacon, schedule, sequences)
        batches = [
            [assigned.sequences(Worker(worker), step) for step in range(schedule.steps)]
            for worker in range(schedule.workers)
        ]
        made.append({"sequences": sequences, "batches": batches})
    return made


def round_of(ledger: Ledger, round_: Round) -> dict[str, Any]:
    """Everything that the rules derive about a round of a transcript in statements.json."""
    book, seed, receipts = ledger.rounds[round_], ledger.draw_seed(round_), standing(ledger, round_)
    assert book.closed is not None
    assert seed is not None
    return {
        "round": round_,
        "beacon": book.opened.statement.beacon.hex(),
        "commitment": book.closed.statement.commitment.hex(),
        "draw_seed": seed.hex(),
        "segments": {str(worker): drawn_segments(ledger.spec, seed, worker) for worker in sorted(receipts)},
        "auditors": list(book.auditors),
        "draws": [[draw.worker, draw.segment, draw.auditor] for draw in draws(ledger, round_)],
        "members_root": members_root({worker: item.update_root for worker, item in receipts.items()}).hex(),
    }


def epochs(ledger: Ledger) -> list[dict[str, str]]:
    """Every epoch's value, from spec or chain, and the beacon that follows from it."""
    made = []
    for epoch in range(len(ledger.rounds) + 1):
        filed = ledger.beacons.get(Round(epoch))
        value = filed.statement.value if filed else ledger.spec.beacon
        made.append({"value": value.hex(), "beacon": epoch_beacon(ledger.spec, value).hex()})
    return made


def run(told: Teller) -> dict[str, Any]:
    """What follows from a story."""
    ledger = told.ledger
    rounds = [round_of(ledger, round_) for round_ in ledger.rounds]
    return {"run": told.spec.run_id.hex(), "epochs": epochs(ledger), "rounds": rounds}


def make() -> dict[str, Any]:
    """Everything in the file."""
    chain = chain_story()
    beacon = chain.ledger.rounds[Round(0)].opened.statement.beacon
    return {
        "bijection": {"key": KEY.hex(), "permutations": permutations()},
        "runs": {"recorded": run(story()), "chain": run(chain), "delayed": run(delayed_story())},
        "assignment": {"beacon": beacon.hex(), "splits": assignments(beacon)},
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(make(), indent=1) + "\n")
