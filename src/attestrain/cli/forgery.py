"""Forging a transcript: the hand work behind the lies that need signatures.

A forger has no true key. What he can do is sign everything again with keys of his own, consistently, so that only a
verifier who knows the true keys from elsewhere, or who looks at what was signed, sees through it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from attestrain.errors import UsageError
from attestrain.record.blob import blob_ref
from attestrain.record.bundle import SPEC, TRANSCRIPT, MemoryFiles, trace_path
from attestrain.record.digest import Digest, sha256
from attestrain.record.keys import SigningKey
from attestrain.record.names import Address, Round, Size, Text, Worker
from attestrain.record.note import LogKey
from attestrain.record.spec import RunSpec
from attestrain.record.statements import (
    Beacon,
    CommitClose,
    Finding,
    Join,
    Leave,
    LogOpen,
    Published,
    Receipt,
    RunClose,
    Signed,
    Statement,
    sign,
)
from attestrain.record.tiles import read_entries
from attestrain.record.trace import Trace, state_root
from attestrain.record.transcript import CHECKPOINT_PATH, Log
from attestrain.rules.admission import TRUNK
from attestrain.rules.beacon import commitment_root
from attestrain.rules.draws import missing_findings
from attestrain.rules.faults import standing
from attestrain.rules.ledger import Ledger

Slot = tuple[Round, Worker]

_SEED = b"attestrain tamper: "
"""Forged keys are derived, so that the same lie twice gives the same bytes. They guard nothing."""


def forged_key(account: Address) -> SigningKey:
    """The key that stands in for the one behind ``account``."""
    return SigningKey(sha256(_SEED + account.encode("ascii")))


def forged_note_key(origin: str) -> LogKey:
    """The key that stands in for the one that signs the transcript of ``origin``."""
    return LogKey(origin, sha256(_SEED + origin.encode()))


@dataclass(slots=True)
class Transcript:
    """The entries of a bundle's transcript, open to editing."""

    origin: str
    signed: list[Signed]

    @classmethod
    def read(cls, files: MemoryFiles) -> Transcript:
        """Read the transcript of ``files``."""
        origin, size, _ = files.read(f"{TRANSCRIPT}/{CHECKPOINT_PATH}").decode().split("\n", 2)
        entries = read_entries(lambda path: files.get(f"{TRANSCRIPT}/{path}"), int(size))
        return cls(origin, [Signed.from_bytes(entry) for entry in entries])

    def write(self, files: MemoryFiles) -> None:
        """Put it in the old one's place, under the forged note key."""
        for path in [path for path in files if path.startswith(f"{TRANSCRIPT}/")]:
            del files[path]
        log = Log(signed.to_bytes() for signed in self.signed)
        for path, data in log.files(log.checkpoint(forged_note_key(self.origin))).items():
            files[f"{TRANSCRIPT}/{path}"] = data


def last_published(files: MemoryFiles) -> Slot:
    """The worker-round that lies are told about: the first to be published in the last round.

    Raises:
        UsageError: nothing was published.
    """
    published = [item.statement for item in Transcript.read(files).signed if isinstance(item.statement, Published)]
    if not published:
        raise UsageError("nothing was published in this run, so there is nothing to lie about")
    last = max(statement.round for statement in published)
    return next((last, statement.worker) for statement in published if statement.round == last)


def set_trace(files: MemoryFiles, edit: Callable[[Trace], Trace]) -> None:
    """Edit the trace of `last_published`."""
    path = trace_path(*last_published(files))
    files[path] = edit(Trace.from_bytes(files[path])).to_bytes()


def forge(
    files: MemoryFiles, *, changed: Slot | None = None, disown: bool = False, beacon: Digest | None = None
) -> None:
    """Sign the whole transcript again with forged keys.

    Args:
        files: the bundle, changed in place.
        changed: a worker-round of the last round whose trace was edited: its receipt and all that follows is adapted.
        disown: sign one receipt with a key that is not registered.
        beacon: what the last beacon says instead; the last round's draw is answered again.
    """
    true = Transcript.read(files)
    forger = _Forger(files, RunSpec.from_bytes(files[SPEC]), changed, beacon)
    for signed in true.signed:
        forger.copy(signed)
    if disown:
        index = next(i for i, signed in enumerate(forger.signed) if isinstance(signed.statement, Receipt))
        stranger = SigningKey(sha256(_SEED + b"a stranger"))
        forger.signed[index] = sign(forger.signed[index].statement, stranger)
    Transcript(true.origin, forger.signed).write(files)


class _Forger:
    """Copies a transcript entry by entry, adapting what depends on an edited trace or beacon."""

    def __init__(self, files: MemoryFiles, spec: RunSpec, changed: Slot | None, beacon: Digest | None) -> None:
        self._files = files
        self._beacon = beacon
        self._log = Log()
        self._ledger = Ledger(spec)
        self._changed = changed
        self._keys: dict[Address, SigningKey] = {}
        self.signed: list[Signed] = []

    def copy(self, signed: Signed) -> None:
        """Forge the next entry."""
        statement = signed.statement
        if self._changed is not None and isinstance(statement, Finding) and statement.round == self._changed[0]:
            return  # another commitment, another draw
        if self._changed is not None and isinstance(statement, RunClose):
            self._answer(self._changed[0])
        self._append(self._adapt(statement), forged_key(signed.signer()))

    def _append(self, statement: Statement, key: SigningKey) -> None:
        self.signed.append(sign(statement, key))
        self._log.append(self.signed[-1].to_bytes())
        self._ledger.file(self.signed[-1])

    def _adapt(self, statement: Statement) -> Statement:
        match statement:
            case LogOpen():
                note = forged_note_key(statement.origin).verifier.public
                return replace(statement, sequencer=forged_key(statement.sequencer).address, note_key=Digest(note))
            case Join():
                participant, session = forged_key(statement.participant), forged_key(statement.session)
                self._keys[session.address] = session
                return replace(statement, participant=participant.address, session=session.address)
            case Leave():
                return replace(statement, participant=forged_key(statement.participant).address)
            case Beacon() if statement.epoch:
                last = statement.epoch == self._ledger.spec.schedule.rounds
                value = self._beacon if last and self._beacon is not None else statement.value
                return replace(statement, root=self._log.root(statement.size), value=value)
            case Receipt() | Published() if self._changed == (statement.round, statement.worker):
                return self._adapt_work(statement)
            case CommitClose() if self._changed is not None and statement.round == self._changed[0]:
                receipts = standing(self._ledger, statement.round)
                return replace(statement, commitment=commitment_root(receipts.values()))
        return statement

    def _trace(self, round_: Round, worker: Worker) -> Trace:
        return Trace.from_bytes(self._files[trace_path(round_, worker)])

    def _adapt_work(self, statement: Receipt | Published) -> Statement:
        trace = self._trace(statement.round, statement.worker)
        if isinstance(statement, Receipt):
            first, last = state_root(trace.states[0]), state_root(trace.states[-1])
            return replace(statement, first_state=first, last_state=last, trace_root=trace.root)
        blob = blob_ref(trace.to_bytes())
        return replace(statement, trace_root=trace.root, trace_blob=blob.root, trace_size=Size(blob.size))

    def _answer(self, round_: Round) -> None:
        """Rubber-stamp what is drawn now."""
        for draw in missing_findings(self._ledger, round_):
            if draw.worker not in self._ledger.rounds[round_].published:
                continue
            auditor = self._ledger.registered("auditor", draw.auditor)
            if auditor is None:
                raise AssertionError("draws name auditors that have joined")
            result = self._trace(round_, draw.worker).result(draw.segment)
            finding = Finding(
                run=self._ledger.spec.run_id,
                branch=TRUNK,
                round=round_,
                worker=draw.worker,
                segment=Size(draw.segment),
                auditor=draw.auditor,
                key_epoch=auditor.key_epoch,
                outcome=Text("exact"),
                claimed=result,
                observed=result,
                environment=auditor.environment,
                detail=Text(""),
            )
            self._append(finding, self._keys[auditor.session])
