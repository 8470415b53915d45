"""Beacons: public randomness that decides who trains on what and which segments are replayed.

Each round has an epoch beacon. With a chain it is the hash of a block that was fixed before it existed (DESIGN section
4.1), as a `Beacon` statement reports it. A recorded one stands in the run spec, is the same for all rounds and known
to everyone beforehand, and therefore reads *simulated* wherever a guarantee rests on it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from attestrain.record import merkle
from attestrain.record.digest import Digest, tagged
from attestrain.record.names import Round
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Receipt


def epoch_beacon(spec: RunSpec, captured: Digest | None = None) -> Digest:
    """An epoch's beacon, bound to the run: from what was captured on chain, or else the recorded one."""
    return tagged("attestrain.dev/epoch-beacon@v1", spec.run_id, spec.beacon if captured is None else captured)


def round_beacon(epoch: Digest, round_: Round, commitment: Digest) -> Digest:
    """Beacon that assigns the batches of ``round_``.

    Args:
        epoch: beacon of the round's epoch.
        round_: the round it is for.
        commitment: commitment root of the round before, zero for the first: nobody knows the next assignment before
            this round's work is committed.
    """
    return tagged("attestrain.dev/round-beacon@v1", epoch, struct.pack(">I", round_), commitment)


def draw_seed(epoch: Digest, round_: Round, commitment: Digest) -> Digest:
    """Seed of the draw over ``round_``, known only once the round's own receipts are committed.

    Args:
        epoch: beacon of the epoch *after* the round: on a chain it did not exist when the receipts were anchored.
        round_: the round that is drawn from.
        commitment: commitment root of that round.
    """
    return tagged("attestrain.dev/draw-seed@v1", epoch, struct.pack(">I", round_), commitment)


def commitment_root(receipts: Iterable[Receipt]) -> Digest:
    """Root over what a round's receipts commit to, in the order of the workers.

    It covers the work and not the keys, so that one spec trained twice has one history.
    """
    leaves = [
        struct.pack(">I", receipt.worker) + receipt.base + receipt.trace_root + receipt.update_root
        for receipt in sorted(receipts, key=lambda receipt: receipt.worker)
    ]
    return merkle.root(leaves)
