"""Make vectors/evidence.json: run it as a script to write the file anew, with fresh keys and so with a fresh quote."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from attestrain.appraise.appraisal import Appraisal, Binding, Measured, appraise
from attestrain.appraise.intel.policy import IntelPolicy
from attestrain.appraise.refused import Refused
from attestrain.attester.pki import DevPki
from attestrain.attester.simulator import SimulatedMachine
from attestrain.errors import FormatError
from attestrain.record.canonical import canonical, parse
from attestrain.record.digest import parse_digest, sha256
from attestrain.record.evidence import REGISTER_SIZE, Event, Evidence, extend
from attestrain.record.names import KeyEpoch, RunId, Worker
from tests.unit.evidence_world import NOW, events_of, honest_binding, honest_measured, quoted

TARGET = Path(__file__).parents[2] / "vectors/evidence.json"

OTHER = "0x" + "11" * 20
"""Somebody else's account."""
CHANGES: list[tuple[str, list[str | int], Any]] = [
    ("another run", ["binding", "run"], sha256(b"other run").hex()),
    ("another slot", ["binding", "worker"], 2),
    ("another role", ["binding", "role"], "auditor"),
    ("another key epoch", ["binding", "key_epoch"], 1),
    ("another participant", ["binding", "participant"], OTHER),
    ("another session key", ["binding", "session"], OTHER),
    ("another block", ["binding", "block_hash"], sha256(b"fork").hex()),
    ("another code", ["measured", "package"], sha256(b"other code").hex()),
    ("another dataset", ["measured", "dataset"], sha256(b"other data").hex()),
    ("another environment", ["measured", "environment"], sha256(b"other environment").hex()),
    ("another development root", ["roots"], [sha256(b"other root").hex()]),
    ("no development root", ["roots"], []),
    ("expired collateral", ["at"], NOW + 30 * 86_400),
    ("before its collateral", ["at"], NOW - 30 * 86_400),
    ("an edited event", ["evidence", "events", 0, "payload"], sha256(b"other code").hex()),
    ("no events", ["evidence", "events"], []),
    ("no quote", ["evidence", "quote"], ""),
    ("another kind", ["evidence", "kind"], "sgx"),
]


@dataclass(frozen=True)
class Case:
    """Evidence and what it is judged by, as the file shows them."""

    evidence: dict[str, Any]
    binding: dict[str, Any]
    measured: dict[str, str]
    roots: list[str]
    at: int

    def judge(self) -> Appraisal:
        """Appraise it."""
        digests = {name: parse_digest(value) for name, value in self.measured.items()}
        digests["run_spec"] = RunId(digests["run_spec"])
        evidence = Evidence.from_bytes(canonical(self.evidence))
        policy = IntelPolicy(roots=tuple(map(parse_digest, self.roots)))
        return appraise(evidence, read_binding(self.binding), Measured(**digests), policy, self.at)  # type: ignore[arg-type]

    def changed(self, path: list[str | int], value: Any) -> Case:
        """The same with one value put elsewhere."""
        document = copy.deepcopy(asdict(self))
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return Case(**document)


def read_binding(value: dict[str, Any]) -> Binding:
    """A binding as the file shows it."""
    return Binding(
        session=value["session"],
        participant=value["participant"],
        run=RunId(parse_digest(value["run"])),
        role=value["role"],
        worker=Worker(value["worker"]),
        key_epoch=KeyEpoch(value["key_epoch"]),
        block_number=value["block_number"],
        block_hash=parse_digest(value["block_hash"]),
    )


def plain(value: Any) -> dict[str, Any]:
    """A dataclass as the file shows it: bytes in hexadecimal."""
    return {name: item.hex() if isinstance(item, bytes) else item for name, item in asdict(value).items()}


def fresh() -> Case:
    """A new machine on a new platform of a new network says that all is well."""
    pki, binding, measured = DevPki.generate(NOW), honest_binding(), honest_measured()
    evidence = quoted(SimulatedMachine(pki.provision(NOW)), binding, events_of(measured))
    document = parse(evidence.to_bytes())
    return Case(document, plain(binding), plain(measured), [pki.root_digest.hex()], NOW)


def registers(events: list[dict[str, str]]) -> list[dict[str, str]]:
    """Each event, its digest, and the register after it."""
    shown, register = [], bytes(REGISTER_SIZE)
    for item in events:
        event = Event(item["name"], item["payload"])
        register = extend(register, event.digest)
        shown.append({**item, "digest": event.digest.hex(), "register": register.hex()})
    return shown


def taken(case: Case) -> dict[str, Any]:
    """What comes of an appraisal that holds."""
    return {**plain(case.judge()), "notes": list(case.judge().notes)}


def refusal(case: Case) -> str:
    """Why it is refused."""
    try:
        case.judge()
    except (Refused, FormatError) as error:
        return str(error)
    raise AssertionError("it was taken")


def make(case: Case) -> dict[str, Any]:
    """Everything in the file, from one case that holds."""
    changes = [(why, path, value, refusal(case.changed(path, value))) for why, path, value in CHANGES]
    return {
        "case": asdict(case),
        "digest": sha256(canonical(case.evidence)).hex(),
        "report_data": read_binding(case.binding).report_data.hex(),
        "registers": registers(case.evidence["events"]),
        "appraisal": taken(case),
        "refused": [dict(zip(("why", "path", "value", "reason"), change, strict=True)) for change in changes],
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(make(fresh()), indent=1) + "\n")
