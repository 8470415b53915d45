"""Make vectors/statements.json: `python -m tests.vectors.make_statements` from the root of the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attestrain.record.eip712 import encode_type
from attestrain.record.statements import KINDS, Statement
from attestrain.rules.admission import Inadmissible, admit
from attestrain.rules.faults import faults
from attestrain.rules.ledger import Ledger
from attestrain.rules.membership import absences, candidates
from tests.vectors.refused import place, refusals
from tests.vectors.stories import chain_story, delayed_story, story
from tests.vectors.teller import Said, Teller, refile

TARGET = Path(__file__).parents[2] / "vectors/statements.json"


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
        "auditors": {str(round_): list(book.auditors) for round_, book in ledger.rounds.items()},
        "faults": {
            str(fault.worker): {"round": fault.round, "segment": fault.segment, "entry": fault.index}
            for fault in faults(ledger).values()
        },
    }


def refused(told: Teller) -> list[dict[str, Any]]:
    """What may not stand in a story, with the claims that our code says it breaks."""
    made = []
    for why, after, item, claim in refusals(told):
        try:
            admit(refile(told.spec, told.said[:after]), item.signed)
        except Inadmissible as error:
            text = item.signed.to_bytes().decode()
            made.append({"why": why, "after": after, "entry": text, "claim": error.claim})
            if error.claim != claim:
                raise AssertionError(f"{why}: {error}") from error
        else:
            raise AssertionError(f"admitted although {why}")
    return made


def run(told: Teller) -> dict[str, Any]:
    """A story from its spec to what it must not hold."""
    return {
        "spec": told.spec.to_bytes().decode(),
        "run": told.spec.run_id.hex(),
        "transcript": {
            "entries": [entry.decode() for entry in told.log.entries()],
            "root": told.log.root().hex(),
            **derived(told.ledger),
        },
        "refused": refused(told),
    }


def make() -> dict[str, Any]:
    """Everything in the file."""
    chain = chain_story()
    return {
        "statements": [example(kind, chain.said) for kind in KINDS.values()],
        "runs": {"recorded": run(story()), "chain": run(chain), "delayed": run(delayed_story())},
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(make(), indent=1) + "\n")
