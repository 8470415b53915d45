"""Claim (2): the transcript is one append-only log under one key, and every entry may stand where it stands.

Signatures, slots and order are the business of `rules.admission`, which the sequencer asked too; a refusal names the
claim that it breaks.
"""

from __future__ import annotations

import re

from attestrain.errors import FormatError
from attestrain.record.bundle import TRANSCRIPT, Bundle
from attestrain.record.note import MAX_NOTE, VerifierKey
from attestrain.record.spec import RunSpec
from attestrain.record.statements import LogOpen, Signed
from attestrain.record.tiles import Get, read_entries
from attestrain.record.transcript import CHECKPOINT_PATH, Log, read_log
from attestrain.rules.admission import Inadmissible, admit
from attestrain.rules.ledger import Ledger
from attestrain.verify.checks import Contradiction, Missing, require
from attestrain.verify.structure import read

_HEAD = re.compile(rb"[^\n]{1,256}\n(0|[1-9][0-9]{0,15})\n")


def read_transcript(bundle: Bundle) -> tuple[tuple[Log, VerifierKey], str]:
    """The log and the key that its own first entry binds.

    Raises:
        Missing: there is no transcript, or a file of it is not there.
        Contradiction, FormatError: the log does not hang together, or has files that do not belong to it.
    """

    def get(path: str) -> bytes:
        return read(bundle, f"{TRANSCRIPT}/{path}")

    note = read(bundle, f"{TRANSCRIPT}/{CHECKPOINT_PATH}")
    key = _bound_key(get, note)
    log, checkpoint = read_log(get, key)
    listed = {path for path in bundle.manifest.files if path.startswith(f"{TRANSCRIPT}/")}
    expected = {f"{TRANSCRIPT}/{path}" for path in log.files(note)}
    require(listed <= expected, f"{min(listed - expected, default='')} does not belong to the transcript")
    return (log, key), f"{checkpoint.size} entries, root {checkpoint.root.hex()}, key {key}"


def _bound_key(get: Get, note: bytes) -> VerifierKey:
    """The key that entry 0 binds; the checkpoint's size, unverified yet, says where the entry lies."""
    head = _HEAD.match(note[:MAX_NOTE])
    if head is None:
        raise FormatError("the transcript's checkpoint does not open with an origin and a size")
    size = int(head[1])
    if not size:
        raise Missing("the transcript is empty")
    opened = Signed.from_bytes(read_entries(get, size)[0]).statement
    if not isinstance(opened, LogOpen):
        raise Contradiction("the first entry does not open the log")
    return VerifierKey(opened.origin, opened.note_key)


def replay_transcript(spec: RunSpec, log: Log) -> tuple[Ledger, str]:
    """Admit and file every entry.

    Raises:
        Contradiction, FormatError: an entry may not stand where it stands.
    """
    ledger = Ledger(spec)
    for index, entry in enumerate(log.entries()):
        try:
            signed = Signed.from_bytes(entry)
            admit(ledger, signed)
        except Inadmissible as error:
            raise Contradiction(f"entry {index}: {error}", claim=error.claim) from error
        except FormatError as error:
            raise FormatError(f"entry {index}: {error}") from error
        ledger.file(signed)
    return ledger, f"{ledger.size} entries admitted, {len(ledger.rounds)} rounds"


def require_end(ledger: Ledger) -> tuple[None, str]:
    """The run is over, after the rounds that its spec names.

    Raises:
        Missing: it is not.
    """
    rounds = ledger.spec.schedule.rounds
    if ledger.run_close is None:
        raise Missing(f"the transcript ends before the run: {len(ledger.rounds)} of {rounds} rounds are open or done")
    if ledger.run_close.rounds != rounds:
        raise Missing(f"the run was closed after {ledger.run_close.rounds} of {rounds} rounds")
    return None, f"closed after {rounds} rounds"
