"""Where the contracts stand on a chain: the document that participants are given (`attestrain.dev/deployment@v1`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attestrain.errors import FormatError
from attestrain.record.canonical import MAX_INTEGER, canonical, parse
from attestrain.record.chain import CONTRACTS
from attestrain.record.fields import Fields
from attestrain.record.keys import parse_address
from attestrain.record.names import Address
from attestrain.settle.finality import FINALIZED, parse_rule

FORMAT = "attestrain.dev/deployment@v1"
MAX_DEPLOYMENT = 4096
"""Largest document read, in bytes: it has about 400."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The contracts on a chain.

    Attributes:
        chain_id: of the chain (EIP-155).
        contracts: their addresses, by the names of `record.chain.CONTRACTS`.
        finality: when a block of this chain counts: a rule of `settle.finality`.
    """

    chain_id: int
    contracts: Mapping[str, Address]
    finality: str = FINALIZED

    def to_bytes(self) -> bytes:
        """Canonical document."""
        return canonical(
            {"format": FORMAT, "chain_id": self.chain_id, "finality": self.finality, **self.contracts},
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Deployment:
        """Read the document strictly.

        Raises:
            FormatError: malformed, or two contracts at one address.
        """
        document = parse(data, max_bytes=MAX_DEPLOYMENT)
        fields = Fields(document, ("format", "chain_id", "finality", *CONTRACTS), "deployment")
        fields.constant("format", FORMAT)
        contracts = {name: parse_address(fields.text(name)) for name in CONTRACTS}
        if len(set(contracts.values())) != len(contracts):
            raise FormatError("deployment has two contracts at one address")
        return cls(fields.integer("chain_id", 1, MAX_INTEGER), contracts, parse_rule(fields.text("finality")))
