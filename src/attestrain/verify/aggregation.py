"""Claim (8): membership and every checkpoint, derived again from the published updates, bit for bit, without a GPU."""

from __future__ import annotations

from dataclasses import dataclass, field

from attestrain.record.bundle import MODEL, Bundle
from attestrain.record.checkpoint import CheckpointRecord
from attestrain.record.names import Round, Worker
from attestrain.record.spec import RunSpec
from attestrain.rules.ledger import Ledger
from attestrain.rules.membership import candidates, members_root
from attestrain.update.checkpoint import Advance, Checkpoint, advance, genesis
from attestrain.verify.checks import Contradiction, Missing, require
from attestrain.verify.receipts import Works, read_update


@dataclass(slots=True)
class History:
    """What the updates make of the spec.

    Attributes:
        checkpoints: documents of all checkpoints derived, from checkpoint 0.
        members: per round, the workers whose update moved the checkpoint.
        left_out: per round, candidates without influence and why.
        last: the last checkpoint, with its values.
    """

    last: Checkpoint
    checkpoints: list[CheckpointRecord] = field(default_factory=list)
    members: dict[Round, list[Worker]] = field(default_factory=dict)
    left_out: dict[Round, dict[Worker, str]] = field(default_factory=dict)


def derive(bundle: Bundle, ledger: Ledger, works: Works) -> tuple[History, str]:
    """Derive all checkpoints, beginning with checkpoint 0, and hold members and digests against the transcript.

    Raises:
        Missing: an update, or the model, by whose size the size of all this is bounded, is not in the bundle.
        Contradiction, FormatError: the transcript says otherwise.
    """
    _bound(bundle, ledger.spec)
    first = genesis(ledger.spec)
    history = History(first, [first.record])
    book = ledger.rounds.get(Round(0))
    if book is not None and book.opened.statement.base != first.record.digest:
        raise Contradiction("checkpoint 0 does not follow from the spec", claim=5)
    for round_, book in sorted(ledger.rounds.items()):
        if book.aggregated is None:
            break
        outcome = _advance(bundle, ledger, works, round_, history.last)
        receipts = {worker: book.receipts[worker].statement.update_root for worker in outcome.members}
        stated = book.aggregated.statement
        require(stated.members == members_root(receipts), f"round {round_} was aggregated from other members")
        follows = stated.checkpoint == outcome.checkpoint.record.digest
        require(follows, f"checkpoint {round_ + 1} does not follow from the updates of round {round_}")
        history.last = outcome.checkpoint
        history.checkpoints.append(outcome.checkpoint.record)
        history.members[round_] = outcome.members
        history.left_out[round_] = _left_out(outcome)
    updates = sum(len(members) for members in history.members.values())
    return history, f"{len(history.members)} checkpoints from {updates} updates"


def _advance(bundle: Bundle, ledger: Ledger, works: Works, round_: Round, current: Checkpoint) -> Advance:
    begun = ledger.rounds[round_].opened.statement.base
    updates = {worker: read_update(bundle, works[round_, worker].receipt) for worker in candidates(ledger, round_)}
    return advance(ledger.spec, current, updates, begun)


def _left_out(outcome: Advance) -> dict[Worker, str]:
    zero = {worker: "an update of zeros" for worker, judged in outcome.screened.items() if judged.reason == "zero"}
    return {**outcome.rejected, **zero}


def _bound(bundle: Bundle, spec: RunSpec) -> None:
    """A spec is a few bytes and may name a trillion parameters: allocate only what the bundle itself carries."""
    if MODEL not in bundle:
        raise Missing(f"{MODEL} is missing")
    size, values = bundle.manifest.files[MODEL].size, 4 * spec.layout.parameters
    if size < values:
        raise Contradiction(f"{MODEL} of {size} bytes cannot hold {values} bytes of parameters", claim=11)
