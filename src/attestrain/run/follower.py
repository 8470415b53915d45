"""Following a run: a ledger kept in step with the transcript, and every checkpoint re-derived from the updates.

Workers and auditors believe nothing that they can recompute. A checkpoint that does not follow from the published
updates stops them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attestrain.errors import FormatError, Refuted
from attestrain.record.blob import BlobRef
from attestrain.record.names import Round, Worker
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Signed
from attestrain.rules.admission import admit
from attestrain.rules.ledger import Ledger
from attestrain.rules.membership import candidates
from attestrain.run.exchange import Exchange
from attestrain.store.blobs import Blobs
from attestrain.update.checkpoint import Advance, Checkpoint, advance, follow, genesis

KEPT = 3
"""Checkpoints kept in memory: the round that trains, the one that is audited, one more for a slow auditor.
With a delay, rounds start one checkpoint earlier, so that one more is kept."""


def updates_of(ledger: Ledger, store: Blobs, round_: Round) -> dict[Worker, bytes]:
    """Updates of the candidates of a round, from the store.

    Raises:
        Unreachable: an update is not in the store.
        FormatError: stored bytes are not the committed ones.
    """
    receipts = ledger.rounds[round_].receipts
    workers = list(candidates(ledger, round_))
    named = [receipts[worker].statement for worker in workers]
    found = store.get_all([BlobRef(receipt.update_root, receipt.update_size) for receipt in named])
    return dict(zip(workers, found, strict=True))


class History:
    """Checkpoints of a run, derived one after the other from checkpoint 0 (``first``).

    ``members`` holds, of every round derived, the workers whose update moved the checkpoint; ``merged`` where the
    merged updates of these rounds lie, None for a round without one.

    Args:
        spec: the run.
        store: where updates are.
        fetch: gives the merged update of a round, of at most so many bytes, which is then believed if what follows from
            it is what the transcript names; None derives every checkpoint from all updates.
        serves: whether the merged updates of derived rounds are put into the store.
    """

    def __init__(
        self,
        spec: RunSpec,
        store: Blobs,
        fetch: Callable[[Round, int], bytes | None] | None = None,
        *,
        serves: bool = False,
    ) -> None:
        self._spec = spec
        self._store = store
        self._fetch = fetch if spec.merge is not None else None
        self._serves = serves
        self.merged: dict[Round, BlobRef | None] = {}
        self.first = genesis(spec)
        self._latest = self.first
        self.members: dict[Round, list[Worker]] = {}
        self._kept: dict[Round, Checkpoint] = {self.first.record.round: self.first}

    def at(self, ledger: Ledger, round_: Round) -> Checkpoint:
        """Checkpoint that ``round_`` starts from, which is an earlier one where the spec has a delay.

        Raises:
            Refuted: the transcript names another one than follows from the updates.
        """
        return self.checkpoint(ledger, self._spec.overlap.base(round_))

    def checkpoint(self, ledger: Ledger, number: Round) -> Checkpoint:
        """Checkpoint ``number``, which follows from the updates of all rounds before ``number``.

        Raises:
            Refuted: the transcript names another one.
        """
        if number < self._latest.record.round and number not in self._kept:
            self._latest = self.first
        while self._latest.record.round < number:
            self._keep(self._following(ledger, self._latest))
        checkpoint = self._kept.get(number, self._latest)
        if checkpoint.record.digest != ledger.checkpoint(number):
            raise Refuted(f"the transcript names a checkpoint {number} that does not follow from the updates")
        return checkpoint

    def _following(self, ledger: Ledger, current: Checkpoint) -> Checkpoint:
        round_ = current.record.round
        if self._fetch is None:
            return self.derive(ledger, round_).checkpoint
        try:
            return follow(self._spec, current, self._fetch(round_, self._spec.most_update))
        except FormatError as error:
            raise Refuted(f"round {round_} was merged wrongly: {error}") from error

    def has(self, number: Round) -> bool:
        """Whether checkpoint ``number`` is at hand."""
        return number in self._kept

    def adopt(self, ledger: Ledger, checkpoint: Checkpoint) -> None:
        """Go on from ``checkpoint`` instead of deriving it, if the transcript names it.

        Raises:
            FormatError: it does not.
        """
        number = checkpoint.record.round
        if ledger.checkpoint(number) != checkpoint.record.digest:
            raise FormatError(f"the transcript names another checkpoint {number}")
        self._keep(checkpoint)

    def derive(self, ledger: Ledger, round_: Round) -> Advance:
        """What the updates of ``round_`` make of checkpoint ``round_``, whichever the workers started from."""
        current, begun = self._kept.get(round_, self._latest), ledger.rounds[round_].opened.statement.base
        outcome = advance(self._spec, current, updates_of(ledger, self._store, round_), begun)
        self.members[round_] = outcome.members
        if self._serves and self._spec.merge is not None:
            self.merged[round_] = None if outcome.merged is None else self._store.put(outcome.merged)
        return outcome

    def all_members(self, ledger: Ledger) -> dict[Round, list[Worker]]:
        """Members of every aggregated round, deriving again what this object has not derived itself."""
        done = [round_ for round_, book in ledger.rounds.items() if book.aggregated is not None]
        if any(round_ not in self.members for round_ in done):
            again = History(self._spec, self._store)
            for round_ in done:
                again._keep(again.derive(ledger, round_).checkpoint)
            self.members = again.members
        return {round_: self.members[round_] for round_ in done}

    def _keep(self, checkpoint: Checkpoint) -> None:
        self._latest = checkpoint
        self._kept[checkpoint.record.round] = checkpoint
        for round_ in sorted(self._kept)[: -KEPT - self._spec.overlap.delay]:
            del self._kept[round_]


class Follower:
    """A ledger that follows an exchange.

    Args:
        spec: the run.
        exchange: the sequencer's.
        store: where updates are.
        by_merged: whether checkpoints are taken by merged updates, in a run that has them, instead of all updates.
    """

    def __init__(self, spec: RunSpec, exchange: Exchange, store: Blobs, *, by_merged: bool = False) -> None:
        self.spec = spec
        self.exchange = exchange
        self.store = store
        self.ledger = Ledger(spec)
        self.history = History(spec, store, exchange.merged if by_merged else None)

    def sync(self) -> None:
        """File what is new, waiting for something if nothing is.

        Raises:
            Refuted: the sequencer passed on an entry that may not stand.
            Stopped: the network is gone.
        """
        self.file(self.exchange.poll(self.ledger.size))

    def read_up(self, read: Callable[[int], Sequence[bytes]]) -> None:
        """File everything that there is now, without waiting for more. Errors as `sync`.

        Args:
            read: gives entries from an index on, and nothing at the end.
        """
        while entries := read(self.ledger.size):
            self.file(entries)

    def file(self, entries: Sequence[bytes]) -> None:
        """File ``entries``, the next ones of the transcript.

        Raises:
            Refuted: one of them may not stand.
            FormatError: one of them is malformed.
        """
        for entry in entries:
            signed = Signed.from_bytes(entry)
            admit(self.ledger, signed)
            self.ledger.file(signed)
