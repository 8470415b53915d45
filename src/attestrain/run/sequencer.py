"""The sequencer: puts statements in order. It is not trusted: whatever it decides, everyone recomputes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attestrain.errors import AttestrainError, FormatError
from attestrain.record.blob import BlobRef
from attestrain.record.digest import Digest, sha256
from attestrain.record.keys import SigningKey
from attestrain.record.names import Index
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Published, Signed, Statement, sign
from attestrain.record.trace import Trace
from attestrain.record.transcript import Log
from attestrain.rules.admission import admit
from attestrain.rules.beacon import draw_seed
from attestrain.rules.draws import drawn_segments
from attestrain.rules.ledger import Ledger
from attestrain.run.exchange import Refusal
from attestrain.run.states import fetchable
from attestrain.store.blobs import BlobStore


class Observer(Protocol):
    """Told of every entry as it is appended."""

    def __call__(self, index: Index, statement: Statement) -> None:
        """React to an entry."""
        ...


class Sequencer:
    """Admits, appends, files.

    Args:
        spec: the run spec.
        log: the transcript; its entries are admitted again, so a damaged or edited journal does not go unnoticed.
        key: signs the sequencer's own statements.
        store: where workers put what they publish.

    Raises:
        Refuted: the journal holds an entry that may not stand.
    """

    def __init__(self, spec: RunSpec, log: Log, key: SigningKey, store: BlobStore) -> None:
        self.ledger = Ledger(spec)
        self.log = log
        self._key = key
        self._store = store
        self._seen: dict[Digest, Index] = {}
        self.observers: list[Observer] = []
        for entry in log.entries():
            signed = Signed.from_bytes(entry)
            admit(self.ledger, signed)
            self._seen[sha256(entry)] = self.ledger.file(signed)

    def submit(self, entry: bytes) -> Index:
        """Append an entry durably, or find it.

        Raises:
            Refusal: malformed or inadmissible.
        """
        if (index := self._seen.get(sha256(entry))) is not None:
            return index
        try:
            signed = Signed.from_bytes(entry)
            admit(self.ledger, signed)
            if isinstance(signed.statement, Published):
                self._require_retrievable(signed.statement)
        except AttestrainError as error:
            raise Refusal(str(error)) from error
        self.log.append(entry)
        index = self._seen[sha256(entry)] = self.ledger.file(signed)
        for observer in self.observers:
            observer(index, signed.statement)
        return index

    def state(self, statement: Statement) -> Index:
        """Sign and append a statement of the sequencer's own."""
        return self.submit(sign(statement, self._key).to_bytes())

    def entries(self, since: int) -> Sequence[bytes]:
        """Entries from index ``since`` on."""
        return self.log.entries(since)

    def _require_retrievable(self, published: Published) -> None:
        """Published means that trace, update and drawn states can be fetched; later, keepers certify it."""
        spec, book = self.ledger.spec, self.ledger.rounds[published.round]
        trace_data = self._store.get(BlobRef(published.trace_blob, published.trace_size))
        trace = Trace.from_bytes(trace_data)
        if trace.root != published.trace_root or trace.update.root != published.update_root:
            raise FormatError("the trace at hand is not the committed one")
        if not self._store.has(trace.update):
            raise FormatError("the update is not in the store")
        if book.closed is None or len(trace.segments) != spec.schedule.segments:
            raise FormatError("the trace does not have the run's segments")
        seed = draw_seed(spec, published.round, book.closed.statement.commitment)
        for segment in drawn_segments(spec, seed, published.worker):
            if not fetchable(self._store, trace, segment):
                raise FormatError(f"the state before drawn segment {segment} is not in the store")
