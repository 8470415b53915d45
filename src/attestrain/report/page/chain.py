"""The chain and the TEE evidence of a run: what was anchored where, and which documents say so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from attestrain.errors import AttestrainError
from attestrain.record.bundle import CHAIN
from attestrain.record.chain import ChainFacts
from attestrain.record.names import Round
from attestrain.record.statements import Beacon
from attestrain.report.page.reading import Reading
from attestrain.report.page.sources import Cited, Source, Sources, short
from attestrain.report.stakes import Anchor, shown_coins
from attestrain.report.story import Story
from attestrain.rules.header import read_header
from attestrain.rules.ledger import Filed
from attestrain.verify.structure import read

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
    carried = read_facts(reading)
    facts = _told_facts(story, sources) if carried is None else _proven_facts(carried, story, sources)
    listed = [] if bundle is None else sorted(path for path in bundle.manifest.files if path.startswith(EVIDENCE))
    documents = [sources.file(path, "TEE evidence: quote, collateral, event log") for path in listed]
    return ChainPage(chain.mode, facts, _anchors(reading, story, sources), documents, carried is not None)


def read_facts(reading: Reading) -> ChainFacts | None:
    """The chain facts that the bundle carries; None where there are none, or they cannot be read."""
    if reading.bundle is None or CHAIN not in reading.bundle:
        return None
    try:
        facts = ChainFacts.from_bytes(read(reading.bundle, CHAIN))
        read_header(facts.header)
    except (AttestrainError, OSError) as error:
        reading.troubles.append(str(error))
        return None
    return facts


def _proven_facts(carried: ChainFacts, story: Story, sources: Sources) -> list[tuple[str, Cited]]:
    """What the bundle itself says of the chain: the block that everything was proved in, and the contracts."""
    said, header = sources.file(CHAIN, "block header and storage proofs of the chain"), read_header(carried.header)
    kind = _kind(story.chain.mode)
    rows = [
        ("chain", Cited(f"id {carried.chain_id}{kind and ', '}{kind}", said)),
        ("block of the proofs", Cited(f"{header.number:,}", said, header.hash.hex())),
        ("its hash", Cited(short(header.hash.hex()), said, header.hash.hex())),
        ("its time", Cited(shown_time(header.timestamp), said)),
    ]
    rows += [(f"contract {name}", Cited(short(a, 12), said, a)) for name, a in carried.contracts.items()]
    return rows + _money_facts(story, sources)


def _told_facts(story: Story, sources: Sources) -> list[tuple[str, Cited]]:
    """What the run's events say of the chain, where the bundle says nothing."""
    chain, said = story.chain, sources.events("chain")
    if not chain.mode:
        return []
    rows = [("chain", Cited(f"id {chain.chain_id}, {_kind(chain.mode)}", said))]
    rows.append(("run ledger", Cited(short(chain.ledger, 16), said, chain.ledger)))
    return rows + _money_facts(story, sources)


def _kind(mode: str) -> str:
    return {"embedded": "a chain inside the run's own machine", "rpc": "reached by JSON-RPC"}.get(mode, "")


def _money_facts(story: Story, sources: Sources) -> list[tuple[str, Cited]]:
    chain, rows = story.chain, []
    if chain.enrolled:
        staked = f"{shown_coins(chain.staked())} coins by {len(chain.enrolled)} participants"
        rows.append(("staked", Cited(staked, sources.events("enrolled"))))
    if chain.claimed:
        paid = f"{shown_coins(sum(chain.claimed.values()))} coins by {len(chain.claimed)} workers"
        rows.append(("pay claimed", Cited(paid, sources.events("claimed"))))
    return rows


def shown_time(seconds: int) -> str:
    """A time of day in UTC; the bare number where no calendar has it."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return str(seconds)


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
