"""A small run with a cheat, as a bundle in memory and as the events it would have told, for tests of the report."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from attestrain.record.bundle import MemoryFiles
from attestrain.record.names import Round, Worker
from attestrain.report.events import Line
from attestrain.report.html import render
from attestrain.report.page.page import Judged, compose
from attestrain.verify.policy import Policy
from attestrain.verify.verifier import verify
from tests.attacks.world import World, tiny_spec

COIN = 10**18
CHEAT, CAUGHT_IN = 2, 1


def cheated(round_: Round, worker: Worker, segment: int) -> str:
    return "fault" if (round_, worker) == (CAUGHT_IN, CHEAT) else "exact"


@lru_cache(maxsize=1)
def cheat_world() -> World:
    """Four rounds of three workers; worker 2 is caught in round 1. Not to be changed by a test."""
    return World(spec=tiny_spec(rounds=4, name="a small run"), outcome=cheated, auditors=3).play()


def told(world: World, name: str = "a small run") -> list[Line]:
    """What the run would have told of itself."""
    spec = world.spec
    schedule = spec.schedule
    sizes = {"rounds": schedule.rounds, "steps": schedule.steps, "workers": schedule.workers, "auditors": 3}
    start = {"run": spec.run_id.hex(), "name": name, "parameters": spec.layout.parameters, **sizes}
    lines = [Line("start", 1000.0, {**start, "dataset_digest": spec.dataset.hex(), "allreduce": 10_000})]
    for round_ in range(schedule.rounds):
        at = 1001.0 + round_
        lines += [
            Line("round-open", at, {"round": round_}),
            Line("segment", at + 0.3, {"worker": 0, "round": round_, "segment": 1, "tokens": 90, "seconds": 0.3}),
            Line("published", at + 0.4, {"round": round_, "worker": 0, "bytes": 100}),
            Line("aggregated", at + 0.5, {"round": round_, "members": [0, 1], "absent": {}}),
            Line("solo", at + 0.55, {"round": round_, "loss": 5.0 / (round_ + 1) + 1}),
            Line("evaluated", at + 0.6, {"round": round_, "loss": 4.0 / (round_ + 1) + 1}),
        ]
    place = {"worker": CHEAT, "round": CAUGHT_IN, "segment": 1}
    lines.append(Line("excluded", 1002.7, {**place, "detail": "params differ"}))
    return sorted(lines, key=lambda line: line.time)


def on_chain() -> list[Line]:
    """The same run's events about its chain: stakes, one case, its votes, the slash, pay."""
    case = {"case": "0xc5", "round": CAUGHT_IN, "worker": CHEAT, "segment": 1}
    stakes = [("worker", slot) for slot in range(3)] + [("auditor", slot) for slot in range(3)]
    said: list[tuple[str, dict[str, Any]]] = [
        ("chain", {"chain_id": 31337, "mode": "embedded", "ledger": "0x" + "5f" * 20}),
        *(
            ("enrolled", {"role": r, "worker": w, "assurance": "simulated", "stake": str(10 * COIN), "block": 7})
            for r, w in stakes
        ),
        ("anchored", {"epoch": 1, "size": 9, "root": "ab" * 32, "height": 12, "tx": "0x" + "cd" * 32}),
        ("beacon", {"epoch": 1, "height": 14, "value": "ef" * 32}),
        ("case-open", {**case, "accuser": 1}),
        *(("vote", {"case": "0xc5", "auditor": auditor, "guilty": auditor != 2}) for auditor in range(3)),
        ("case-closed", {**case, "outcome": "guilty", "guilty": 2, "committee": 3, "fine": str(5 * COIN)}),
        (
            "slashed",
            {"worker": CHEAT, "amount": str(5 * COIN), "burned": str(3 * COIN), "reporter_share": str(2 * COIN)},
        ),
        ("claimed", {"worker": 0, "amount": str(25 * COIN)}),
        ("claimed", {"worker": 1, "amount": str(COIN // 2)}),
        ("share", {"training_seconds": 15.0, "replay_seconds": 4.0, "protocol_seconds": 1.0}),
    ]
    return [Line(kind, 1003.0 + number / 100, data) for number, (kind, data) in enumerate(said)]


def page_of(files: MemoryFiles, policy: Policy | None, lines: Sequence[Line] = ()) -> str:
    """The report's text."""
    name = "" if policy is None else "policy.toml"
    judged = Judged(name, found=False, bundle="bundle", command="attestrain verify bundle")
    return render(compose(files, verify(files, policy), judged, lines, None))


def write_bundle(folder: Path, files: MemoryFiles) -> None:
    """The bundle as a folder."""
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
