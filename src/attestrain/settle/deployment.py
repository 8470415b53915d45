"""Where the contracts stand on a chain: the document that participants are given (`attestrain.dev/deployment@v1`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attestrain.record.canonical import MAX_INTEGER, canonical, parse
from attestrain.record.chain import CONTRACTS
from attestrain.record.fields import Fields
from attestrain.record.keys import parse_address
from attestrain.record.names import Address

FORMAT = "attestrain.dev/deployment@v1"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A chain's id (EIP-155) and the contracts' addresses, by the names of `record.chain.CONTRACTS`."""

    chain_id: int
    contracts: Mapping[str, Address]

    def to_bytes(self) -> bytes:
        """Canonical document."""
        return canonical({"format": FORMAT, "chain_id": self.chain_id, **self.contracts})

    @classmethod
    def from_bytes(cls, data: bytes) -> Deployment:
        """Read the document strictly.

        Raises:
            FormatError: malformed.
        """
        fields = Fields(parse(data), ("format", "chain_id", *CONTRACTS), "deployment")
        fields.constant("format", FORMAT)
        contracts = {name: parse_address(fields.text(name)) for name in CONTRACTS}
        return cls(fields.integer("chain_id", 1, MAX_INTEGER), contracts)
