"""The chain and the TEE evidence of a run: what was anchored where, and which documents say so."""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.record.names import Round
from attestrain.record.statements import Beacon
from attestrain.report.page.reading import Reading
from attestrain.report.page.sources import Cited, Source, Sources, short
from attestrain.report.stakes import Anchor, shown_coins
from attestrain.report.story import Story
from attestrain.rules.ledger import Filed

FACTS = "chain/facts.json"
"""Where a bundle keeps the block header and the storage proofs that its chain claims follow from."""
EVIDENCE = "evidence/"
MAX_ANCHORS = 200
"""Most anchors listed: a run of more rounds is read in its bundle."""


@dataclass(frozen=True, slots=True)
class AnchorRow:
    """One anchor: the root of the transcript's first ``size`` entries, and the block that it fixed the beacon to."""

    epoch: int
    size: Cited
    root: Cited
    height: Cited | None
    value: Cited | None


@dataclass(frozen=True, slots=True)
class ChainPage:
    """What the page says of chain and evidence.

    Attributes:
        mode: "embedded" or "rpc"; empty without a chain.
        facts: pairs of a label and a value.
        documents: every evidence document of the bundle.
        proven: the bundle holds the chain's facts, so that `verify` can check them offline.
    """

    mode: str
    facts: list[tuple[str, Cited]]
    anchors: list[AnchorRow]
    documents: list[Source]
    proven: bool


def chain_page(reading: Reading, story: Story, sources: Sources) -> ChainPage:
    """Everything about the chain that events and bundle tell."""
    chain, bundle = story.chain, reading.bundle
    proven = bundle is not None and FACTS in bundle
    facts: list[tuple[str, Cited]] = []
    if chain.mode:
        said = sources.events("chain")
        kind = "a chain inside the run's own machine" if chain.mode == "embedded" else "reached by JSON-RPC"
        facts.append(("chain", Cited(f"id {chain.chain_id}, {kind}", said)))
        facts.append(("run ledger", Cited(short(chain.ledger, 16), said, chain.ledger)))
    if chain.enrolled:
        facts.append(
            ("stake of all participants", Cited(f"{shown_coins(chain.staked())} coins", sources.events("enrolled")))
        )
    if chain.claimed:
        paid = f"{shown_coins(sum(chain.claimed.values()))} coins to {len(chain.claimed)} workers"
        facts.append(("paid out", Cited(paid, sources.events("claimed"))))
    if proven:
        facts.append(
            ("block header and storage proofs", Cited(FACTS, sources.file(FACTS, "block header and storage proofs")))
        )
    listed = [] if bundle is None else sorted(path for path in bundle.manifest.files if path.startswith(EVIDENCE))
    documents = [sources.file(path, "TEE evidence: quote, collateral, event log") for path in listed]
    return ChainPage(chain.mode, facts, _anchors(reading, story, sources), documents, proven)


def _anchors(reading: Reading, story: Story, sources: Sources) -> list[AnchorRow]:
    """Anchors as the transcript's beacon statements have them; those that have none, as the run told them."""
    signed = {} if reading.ledger is None else reading.ledger.beacons
    rows = {epoch: _signed(filed, sources) for epoch, filed in signed.items()}
    for epoch, anchor in story.chain.anchors.items():
        if epoch not in rows:
            rows[Round(epoch)] = _told(anchor, story.chain.beacons.get(epoch), sources)
    return [rows[epoch] for epoch in sorted(rows)][:MAX_ANCHORS]


def _signed(filed: Filed[Beacon], sources: Sources) -> AnchorRow:
    source, beacon = sources.entry(filed.index), filed.statement
    root, value = beacon.root.hex(), beacon.value.hex()
    first = not beacon.size
    return AnchorRow(
        epoch=beacon.epoch,
        size=Cited("none yet" if first else str(beacon.size), source),
        root=Cited("" if first else short(root), source, root),
        height=Cited(str(beacon.height), source),
        value=Cited(short(value), source, value),
    )


def _told(anchor: Anchor, height: int | None, sources: Sources) -> AnchorRow:
    source = sources.events("anchored")
    return AnchorRow(
        epoch=anchor.epoch,
        size=Cited(str(anchor.size), source),
        root=Cited(short(anchor.root), source, anchor.root),
        height=None if height is None else Cited(str(height), sources.events("beacon")),
        value=None,
    )
