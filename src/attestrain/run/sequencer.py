"""The sequencer: puts statements in order. It is not trusted: whatever it decides, everyone recomputes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

from attestrain.errors import AttestrainError, Interrupted
from attestrain.record.digest import Digest, sha256
from attestrain.record.keys import SigningKey
from attestrain.record.names import Address, Index, Round, Worker
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Published, Receipt, Signed, Statement, sign
from attestrain.record.transcript import Log
from attestrain.rules.admission import admit
from attestrain.rules.ledger import Ledger
from attestrain.run.exchange import Refusal
from attestrain.run.gate import Gate


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
        gate: what workers' statements must withstand besides.

    Attributes:
        ledger: the transcript, filed.
        refused: worker-rounds that the gate has refused, by round: nobody needs to wait for them.
        observers: told of every entry.

    Raises:
        Refuted: the journal holds an entry that may not stand.
    """

    def __init__(self, spec: RunSpec, log: Log, key: SigningKey, gate: Gate) -> None:
        self.ledger = Ledger(spec)
        self.log = log
        self._key = key
        self._gate = gate
        self._seen: dict[Digest, Index] = {}
        self.refused: defaultdict[Round, set[Worker]] = defaultdict(set)
        self.observers: list[Observer] = []
        for entry in log.entries():
            signed = Signed.from_bytes(entry)
            admit(self.ledger, signed)
            self._seen[sha256(entry)] = self.ledger.file(signed)

    @property
    def address(self) -> Address:
        """The account that signs the sequencer's own statements."""
        return self._key.address

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
            self._ask_gate(signed.statement)
        except Interrupted:
            raise
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

    def _ask_gate(self, statement: Statement) -> None:
        try:
            self._gate.check(self.ledger, statement)
        except Interrupted:
            raise
        except AttestrainError:
            if isinstance(statement, Receipt | Published):
                self.refused[statement.round].add(statement.worker)
            raise
