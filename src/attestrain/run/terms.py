"""The terms of a network: what participants have to know besides the run spec. The sequencer serves them."""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.errors import FormatError
from attestrain.record.canonical import MAX_INTEGER, canonical, parse
from attestrain.record.fields import Fields
from attestrain.run.machines import MODES
from attestrain.settle.deployment import Deployment

FORMAT = "attestrain.dev/terms@v1"
MAX_TERMS = 1 << 16
"""Largest document: ours have about a thousand bytes."""
MAX_URL = 256
MAX_STAKE = 10**30
"""Largest stake in wei: a trillion coins."""


@dataclass(frozen=True, slots=True)
class ChainTerms:
    """A network's chain.

    Attributes:
        url: its JSON-RPC endpoint; participants of a public chain may use their own.
        deployment: the contracts.
        embedded: whether it is the node's own, whose blocks count once they are on its disk.
        stakes: what each role stakes, in wei.
    """

    url: str
    deployment: Deployment
    embedded: bool
    stakes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Terms:
    """A network's terms.

    Attributes:
        keep_states_every: rounds between the states that workers leave for later replays.
        evidence: which evidence joins have to bring.
        chain: the chain, if there is one.
    """

    keep_states_every: int
    evidence: str
    chain: ChainTerms | None = None

    def to_bytes(self) -> bytes:
        """Canonical document."""
        return canonical(
            {
                "format": FORMAT,
                "keep_states_every": self.keep_states_every,
                "evidence": self.evidence,
                "chain": None if self.chain is None else _chain_json(self.chain),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Terms:
        """Read the document strictly.

        Raises:
            FormatError: malformed.
        """
        document = parse(data, max_bytes=MAX_TERMS)
        fields = Fields(document, ("format", "keep_states_every", "evidence", "chain"), "terms")
        fields.constant("format", FORMAT)
        every, evidence = fields.integer("keep_states_every", 1, MAX_INTEGER), fields.choice("evidence", MODES)
        return cls(every, evidence, None if document["chain"] is None else _read_chain(document["chain"]))


def _chain_json(chain: ChainTerms) -> dict[str, object]:
    stakes = {role: str(stake) for role, stake in chain.stakes.items()}
    deployment = chain.deployment.to_bytes().decode("utf-8")
    return {"url": chain.url, "deployment": deployment, "embedded": chain.embedded, "stakes": stakes}


def _read_chain(value: object) -> ChainTerms:
    fields = Fields(value, ("url", "deployment", "embedded", "stakes"), "terms.chain")
    stakes = Fields(fields.object("stakes"), ("worker", "auditor"), "terms.chain.stakes")
    deployment = Deployment.from_bytes(fields.text("deployment", max_length=MAX_TERMS).encode("utf-8"))
    embedded = value.get("embedded") if isinstance(value, dict) else None
    if not isinstance(embedded, bool):
        raise FormatError("terms.chain.embedded is not true or false")
    amounts = {role: _read_wei(stakes.text(role, max_length=32)) for role in ("worker", "auditor")}
    return ChainTerms(fields.text("url", max_length=MAX_URL), deployment, embedded, amounts)


def _read_wei(text: str) -> int:
    if not text.isdecimal() or int(text) > MAX_STAKE:
        raise FormatError("a stake is a number of wei")
    return int(text)
