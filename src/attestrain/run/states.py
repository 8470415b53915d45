"""States in the blob store: what a worker uploads for a drawn segment and an auditor fetches.

The parameters that a state takes over from a checkpoint are not uploaded: whoever follows the transcript has them.
"""

from __future__ import annotations

from collections.abc import Mapping

from attestrain.record.blob import BlobRef
from attestrain.record.names import Round
from attestrain.record.spec import RunSpec
from attestrain.record.trace import StateRefs, Trace
from attestrain.store.blobs import Blobs, BlobStore
from attestrain.train.state import State, state_from_blobs
from attestrain.update.components import PARAMS

ADOPTED = 1
"""Index of the state after adopt, the first whose parameters are the checkpoint's, if it is taken as it is."""


def retained(round_: Round, every: int) -> bool:
    """Whether the states after adopt of ``round_`` are kept for later replays (round 0 begins with zeros anyway)."""
    return round_ > 0 and round_ % every == 0


def needed(spec: RunSpec, trace: Trace, segment: int) -> StateRefs:
    """Components of the state before ``segment`` that cannot be had from the checkpoint."""
    state, had = trace.states[segment], segment == ADOPTED and spec.overlap.whole
    return {name: ref for name, ref in state.items() if not (had and name == PARAMS)}


def upload(store: Blobs, state: State, refs: StateRefs) -> None:
    """Put those components of a state into the store that ``refs`` names and that are not there yet."""
    store.put_all([state[name].tobytes() for name, ref in refs.items() if not store.has(ref)])


def keep(store: BlobStore, state: State, refs: StateRefs) -> None:
    """Keep a state of one's own, whose names ``refs`` are one's own too and need not be found again by hashing."""
    for name, ref in refs.items():
        if not store.has(ref):
            store.keep(ref, state[name].tobytes())


def fetch(store: Blobs, spec: RunSpec, refs: StateRefs, known: Mapping[BlobRef, bytes]) -> State:
    """The state named by ``refs``; components in ``known`` are taken from there.

    Raises:
        Unreachable: a component is not in the store.
        FormatError: stored bytes are not what they are called, or have the wrong size for the run.
    """
    missing = [ref for ref in refs.values() if ref not in known]
    found = dict(zip(missing, store.get_all(missing), strict=True))
    return state_from_blobs(spec, {name: known[ref] if ref in known else found[ref] for name, ref in refs.items()})
