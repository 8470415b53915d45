"""Beacons: public randomness that decides who trains on what and which segments are replayed.

The epoch beacon will be captured on chain (DESIGN section 4.1). A recorded one stands in the run spec, is known to
everyone beforehand, and therefore reads *simulated* wherever a guarantee rests on it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from attestrain.record import merkle
from attestrain.record.digest import Digest, tagged
from attestrain.record.names import Round
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Receipt


def epoch_beacon(spec: RunSpec) -> Digest:
    """The recorded beacon, bound to the run."""
    return tagged("attestrain.dev/epoch-beacon@v1", spec.run_id, spec.beacon)


def round_beacon(spec: RunSpec, round_: Round, commitment: Digest) -> Digest:
    """Beacon that assigns the batches of ``round_``.

    Args:
        spec: the run spec.
        round_: the round it is for.
        commitment: commitment root of the round before, zero for the first: nobody knows the next assignment before
            this round's work is committed.
    """
    return tagged("attestrain.dev/round-beacon@v1", epoch_beacon(spec), struct.pack(">I", round_), commitment)


def draw_seed(spec: RunSpec, round_: Round, commitment: Digest) -> Digest:
    """Seed of the draw over ``round_``, known only once the round's own receipts are committed."""
    return tagged("attestrain.dev/draw-seed@v1", epoch_beacon(spec), struct.pack(">I", round_), commitment)


def commitment_root(receipts: Iterable[Receipt]) -> Digest:
    """Root over what a round's receipts commit to, in the order of the workers.

    It covers the work and not the keys, so that one spec trained twice has one history.
    """
    leaves = [
        struct.pack(">I", receipt.worker) + receipt.base + receipt.trace_root + receipt.update_root
        for receipt in sorted(receipts, key=lambda receipt: receipt.worker)
    ]
    return merkle.root(leaves)
