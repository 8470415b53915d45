"""What a run forgets, and when: states are by far the largest things in a run folder.

While it runs, workers keep their own states of the last two committed rounds (a restart goes back no further), and the
shared store keeps the states before drawn segments until every draw of their round is answered. Until cases exist,
that is the dispute window. Once the bundle is written, all states go but those that the bundle holds: they can be
derived again from checkpoint 0, which is what a stranger's replay does. Updates, traces, the transcript and the
journals of what was signed stay, so a lost bundle can be written again.
"""

from __future__ import annotations

import shutil

from attestrain.record.blob import BlobRef
from attestrain.record.names import Round
from attestrain.record.spec import RunSpec
from attestrain.record.trace import Trace
from attestrain.rules.draws import missing_findings
from attestrain.rules.ledger import Ledger, RoundBook
from attestrain.run.folder import RunFolder
from attestrain.run.states import ADOPTED, needed, retained
from attestrain.run.worker import OWN_BLOBS
from attestrain.store.blobs import BlobStore

SMALL = 64
"""Blobs up to this many bytes stay: counters, which states of different workers and rounds share."""


def forget_audited(ledger: Ledger, store: BlobStore, now: Round, keep_states_every: int) -> None:
    """Delete the drawn states of the round before ``now``, if all its draws are answered.

    To be called after ``now`` is aggregated and before the next round closes, when no worker uploads anything.
    """
    if now == 0 or missing_findings(ledger, Round(now - 1)) or _accused(ledger, Round(now - 1)):
        return
    old, new = (_traces(ledger.rounds[round_], store) for round_ in (Round(now - 1), now))
    # Rounds share states: what one ends with, the next begins with.
    _delete(store, _states(old) - _states(new) - _kept(ledger.spec, old, keep_states_every))


def _accused(ledger: Ledger, round_: Round) -> bool:
    """Whether somebody found a fault in a round: a jury executes that segment again, so its states stay."""
    return any(item.statement.outcome == "fault" for item in ledger.rounds[round_].findings)


def forget_states(ledger: Ledger, run: RunFolder, keep_states_every: int) -> None:
    """Delete the states of a run whose bundle is written, except those that are in the bundle."""
    store = BlobStore(run.store)
    traces = [trace for book in ledger.rounds.values() for trace in _traces(book, store)]
    _delete(store, _states(traces) - _kept(ledger.spec, traces, keep_states_every))
    for folder in run.roles.glob(f"*/{OWN_BLOBS}"):
        shutil.rmtree(folder)


def _kept(spec: RunSpec, traces: list[Trace], every: int) -> set[BlobRef]:
    """States that later replays start from."""
    starts = (needed(spec, trace, ADOPTED).values() for trace in traces if retained(trace.round, every))
    return {ref for refs in starts for ref in refs}


def _states(traces: list[Trace]) -> set[BlobRef]:
    return {ref for trace in traces for state in trace.states for ref in state.values()}


def _delete(store: BlobStore, refs: set[BlobRef]) -> None:
    for ref in refs:
        if ref.size > SMALL:
            store.delete(ref)


def _traces(book: RoundBook, store: BlobStore) -> list[Trace]:
    refs = [BlobRef(item.statement.trace_blob, item.statement.trace_size) for item in book.published.values()]
    return [Trace.from_bytes(store.get(ref)) for ref in refs]
