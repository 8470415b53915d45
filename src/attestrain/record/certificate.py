"""What keepers sign when they have a blob's shards on disk, and the document that collects it (spec/certificate.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from attestrain.record.canonical import canonical, parse
from attestrain.record.digest import Digest
from attestrain.record.dispersal import Dispersal
from attestrain.record.fields import Fields
from attestrain.record.keys import SigningKey, parse_address, parse_signature
from attestrain.record.names import Address, Branch, Round, Worker
from attestrain.record.shape import MAX_SHARDS
from attestrain.record.statements import Statement

FORMAT = "attestrain.dev/certificate@v1"
MAX_CERTIFICATE = 32_768
"""Largest document, in bytes: 64 acknowledgements need 14 thousand."""


@dataclass(frozen=True, slots=True)
class Acknowledgement(Statement):
    """By a keeper's key: every shard that the dispersal gives this keeper is checked against it and on disk.

    It stands in a certificate and is no entry of the transcript. ``until`` is the last round in which it owes them.
    """

    FORMAT: ClassVar[str] = "attestrain.dev/acknowledgement@v1"
    branch: Branch
    round: Round
    worker: Worker
    keeper: Address
    dispersal: Digest
    until: Round


@dataclass(frozen=True, slots=True)
class SignedBy:
    """A keeper and its signature over the acknowledgement that follows from the dispersal."""

    keeper: Address
    signature: bytes


def acknowledgement(dispersal: Dispersal, keeper: Address) -> Acknowledgement:
    """What ``keeper`` signs about ``dispersal``."""
    slot = (dispersal.run, dispersal.branch, dispersal.round, dispersal.worker)
    return Acknowledgement(*slot, keeper, dispersal.digest(), dispersal.until)


def acknowledge(dispersal: Dispersal, key: SigningKey) -> SignedBy:
    """Sign. Only for whoever has its shards checked and durable: see `availability.keeping`."""
    return SignedBy(key.address, key.sign(acknowledgement(dispersal, key.address).signing_digest()))


@dataclass(frozen=True, slots=True)
class Certificate:
    """Acknowledgements of one dispersal. Whether they are enough says `rules.certificates`."""

    dispersal: Digest
    acknowledgements: tuple[SignedBy, ...]

    def to_bytes(self) -> bytes:
        """The document."""
        signed = [{"keeper": item.keeper, "signature": "0x" + item.signature.hex()} for item in self.acknowledgements]
        return canonical({"format": FORMAT, "dispersal": self.dispersal.hex(), "acknowledgements": signed})

    @classmethod
    def from_bytes(cls, data: bytes) -> Certificate:
        """Read a certificate strictly; signatures are not checked here.

        Raises:
            FormatError: malformed or out of bounds.
        """
        document = parse(data, max_bytes=MAX_CERTIFICATE)
        fields = Fields(document, ("format", "dispersal", "acknowledgements"), "certificate")
        fields.constant("format", FORMAT)
        signed = fields.array("acknowledgements", max_length=MAX_SHARDS)
        return cls(fields.digest("dispersal"), tuple(_read_signed(value) for value in signed))


def _read_signed(value: object) -> SignedBy:
    fields = Fields(value, ("keeper", "signature"), "acknowledgement")
    return SignedBy(parse_address(fields.text("keeper")), parse_signature(fields.text("signature")))
