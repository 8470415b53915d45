"""Claim (2), the chain's part: the log's history is the one that was anchored, and beacons are what the chain said.

The RunLedger hashes every anchor and every captured block into one word. Computing it again from the transcript and the
log's own roots leaves nothing to choose: an entry changed after its anchor, a beacon that the chain never said, an
anchor left out, each give another word.
"""

from __future__ import annotations

from attestrain.record.names import Round
from attestrain.record.transcript import Log
from attestrain.rules import accumulator
from attestrain.rules.ledger import Ledger
from attestrain.rules.slots import RunWords
from attestrain.verify.chain import ChainState
from attestrain.verify.checks import Missing, require


def check_prefixes(ledger: Ledger, log: Log) -> tuple[None, str]:
    """What a beacon says was anchored is a prefix of this log: the transcript's own word, chain or not.

    Raises:
        Contradiction: it is not.
    """
    for epoch, filed in ledger.beacons.items():
        said = filed.statement
        same = epoch == 0 or log.root(said.size) == said.root
        require(same, f"the anchor of epoch {epoch} is not over this log's first {said.size} entries")
    return None, f"{len(ledger.beacons)} beacons over prefixes of this log"


def check_anchors(ledger: Ledger, log: Log, state: ChainState) -> tuple[RunWords, str]:
    """Hold a transcript that `check_prefixes` passed against what its sequencer told the chain.

    Raises:
        Missing: the run is not over, or the bundle does not prove the run's words.
        Contradiction: the chain was told something else.
    """
    if ledger.log_open is None or ledger.run_close is None or Round(0) not in ledger.beacons:
        raise Missing("the transcript ends before its last anchor")
    run = state.run(ledger.spec.run_id)
    sequencer = ledger.log_open.sequencer
    require(run.sequencer == sequencer, f"the run stands on chain under {run.sequencer}, not under its sequencer")
    require(run.closed, "the run is not closed on chain")
    epochs = len(ledger.beacons)
    require(run.epochs == epochs, f"the chain holds {run.epochs} anchors, the transcript implies {epochs}")
    word = accumulator.opened(ledger.spec.run_id, sequencer)
    for epoch, filed in ledger.beacons.items():
        said = filed.statement
        if epoch > 0:
            base = ledger.rounds[Round(epoch - 1)].opened.statement.base
            word = accumulator.anchored(word, epoch, said.root, said.size, base)
        word = accumulator.captured(word, said.height, said.value)
    word = accumulator.anchored(word, epochs, log.root(), len(log), ledger.run_close.checkpoint)
    require(run.accumulator == word, "anchors and beacons of the transcript are not those on chain")
    late = f", {run.missed} blocks missed" if run.missed else ""
    return run, f"{epochs} anchors, the last over all {len(log)} entries{late}"
