"""The signed statements of a run: everything anybody claims, one entry of the transcript each.

A statement is a flat record of named quantities, signed once with secp256k1 over EIP-712 so that a contract can check
the very same bytes. Its document is RFC 8785 JSON: the format, the quantities, the signature.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

from attestrain.errors import FormatError
from attestrain.record.canonical import Json, canonical, parse
from attestrain.record.digest import Digest
from attestrain.record.eip712 import signing_digest
from attestrain.record.fields import Fields
from attestrain.record.keys import SigningKey, parse_address, parse_signature, recover
from attestrain.record.names import (
    MAX_TEXT,
    SOLIDITY,
    Address,
    Branch,
    KeyEpoch,
    Round,
    RunId,
    Size,
    Text,
    Tokens,
    Worker,
)

MAX_STATEMENT = 8192
"""Largest entry: the longest statement has fewer than twenty quantities. C2SP tlog-tiles allows 65,535."""

ROLES = ("worker", "auditor")
OUTCOMES = ("exact", "tolerance", "fault")
"""What an auditor can find: the same bits, within calibrated tolerance, or neither."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Base of all statements. Fields are declared with the types of `record.names`, which fix how each is signed."""

    FORMAT: ClassVar[str]
    run: RunId

    @classmethod
    def type_fields(cls) -> tuple[tuple[str, str], ...]:
        """EIP-712 members: field name and Solidity type, in order of declaration."""
        return tuple((item.name, SOLIDITY[str(item.type)]) for item in fields(cls))

    def signing_digest(self) -> bytes:
        """The 32 bytes that are signed (EIP-712)."""
        members = self.type_fields()
        return signing_digest(type(self).__name__, members, {name: getattr(self, name) for name, _ in members})


@dataclass(frozen=True, slots=True)
class LogOpen(Statement):
    """Entry 0, by the sequencer: binds the Ed25519 key that signs the transcript's checkpoint notes."""

    FORMAT: ClassVar[str] = "attestrain.dev/log-open@v1"
    sequencer: Address
    origin: Text
    note_key: Digest


@dataclass(frozen=True, slots=True)
class Join(Statement):
    """By a participant's own key: takes a slot and names the session key that signs in this key epoch.

    ``until`` is the last round in which the key counts; ``evidence`` is the SHA-256 of the document that says where the
    key lives, zero without one (spec/evidence.md).
    """

    FORMAT: ClassVar[str] = "attestrain.dev/join@v2"
    role: Text
    worker: Worker
    participant: Address
    session: Address
    key_epoch: KeyEpoch
    until: Round
    environment: Digest
    evidence: Digest


@dataclass(frozen=True, slots=True)
class Leave(Statement):
    """By a participant's own key: gives up a slot's key epoch. Whoever comes back takes the next one."""

    FORMAT: ClassVar[str] = "attestrain.dev/leave@v1"
    role: Text
    worker: Worker
    participant: Address
    key_epoch: KeyEpoch


@dataclass(frozen=True, slots=True)
class Beacon(Statement):
    """By the sequencer: what the chain said after it had been told of the log's first ``size`` entries.

    Anchoring ``root`` fixed the block of ``height``, whose hash ``value`` is. Epoch r + 1 follows the close of round
    r's commit list and feeds that round's draw and the next one's batches. Epoch 0 feeds the first round's batches; its
    size and root are zero.
    """

    FORMAT: ClassVar[str] = "attestrain.dev/beacon@v1"
    branch: Branch
    epoch: Round
    size: Size
    root: Digest
    height: Size
    value: Digest


@dataclass(frozen=True, slots=True)
class RoundOpen(Statement):
    """By the sequencer: the checkpoint a round starts from and its beacon, both of which anyone can recompute."""

    FORMAT: ClassVar[str] = "attestrain.dev/round-open@v1"
    branch: Branch
    round: Round
    base: Digest
    beacon: Digest


@dataclass(frozen=True, slots=True)
class Receipt(Statement):
    """By a worker's session key, once per worker-round: what it did and what update came of it."""

    FORMAT: ClassVar[str] = "attestrain.dev/receipt@v1"
    branch: Branch
    round: Round
    worker: Worker
    key_epoch: KeyEpoch
    base: Digest
    first_state: Digest
    last_state: Digest
    trace_root: Digest
    update_root: Digest
    update_size: Size
    environment: Digest
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class CommitClose(Statement):
    """By the sequencer: no later receipt counts; ``commitment`` is the root over the ``receipts`` that do."""

    FORMAT: ClassVar[str] = "attestrain.dev/commit-close@v1"
    branch: Branch
    round: Round
    receipts: Size
    commitment: Digest


@dataclass(frozen=True, slots=True)
class Published(Statement):
    """By a worker's session key, after the close: the trace and the update are where everyone can fetch them.

    ``trace_blob`` and ``trace_size`` address the trace document; the receipt already addresses the update.
    """

    FORMAT: ClassVar[str] = "attestrain.dev/published@v1"
    branch: Branch
    round: Round
    worker: Worker
    key_epoch: KeyEpoch
    trace_root: Digest
    trace_blob: Digest
    trace_size: Size
    update_root: Digest


@dataclass(frozen=True, slots=True)
class Aggregated(Statement):
    """By the sequencer: the members of a round and the checkpoint that follows, both recomputable by anyone."""

    FORMAT: ClassVar[str] = "attestrain.dev/aggregated@v1"
    branch: Branch
    round: Round
    members: Digest
    checkpoint: Digest


@dataclass(frozen=True, slots=True)
class Finding(Statement):
    """By an auditor's session key: what re-executing one drawn segment gave.

    ``claimed`` and ``observed`` are result digests (`record.trace.result_digest`) from the trace and from the replay.
    """

    FORMAT: ClassVar[str] = "attestrain.dev/finding@v1"
    branch: Branch
    round: Round
    worker: Worker
    segment: Size
    auditor: Worker
    key_epoch: KeyEpoch
    outcome: Text
    claimed: Digest
    observed: Digest
    environment: Digest
    detail: Text


@dataclass(frozen=True, slots=True)
class RunClose(Statement):
    """By the sequencer, last entry: the run is over and this checkpoint is what it delivers."""

    FORMAT: ClassVar[str] = "attestrain.dev/run-close@v1"
    branch: Branch
    rounds: Round
    checkpoint: Digest


KINDS: dict[str, type[Statement]] = {
    kind.FORMAT: kind
    for kind in (
        LogOpen,
        Join,
        Leave,
        Beacon,
        RoundOpen,
        Receipt,
        CommitClose,
        Published,
        Aggregated,
        Finding,
        RunClose,
    )
}
"""Every statement by its format."""

S = TypeVar("S", bound=Statement)


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement with its signature (65 bytes r, s, v). Who signed follows from it and is not written down."""

    statement: Statement
    signature: bytes

    def signer(self) -> Address:
        """The account whose key signed.

        Raises:
            FormatError: the signature is malformed or not of this curve.
        """
        return recover(self.statement.signing_digest(), self.signature)

    def to_bytes(self) -> bytes:
        """The transcript entry."""
        return canonical({**_document(self.statement), "signature": "0x" + self.signature.hex()})

    @classmethod
    def from_bytes(cls, data: bytes) -> Signed:
        """Read a transcript entry strictly.

        Raises:
            FormatError: unknown format, malformed or out of bounds.
        """
        document = parse(data, max_bytes=MAX_STATEMENT)
        kind = KINDS.get(str(document.get("format")))
        if kind is None:
            raise FormatError(f"unknown statement {str(document.get('format'))[:80]!r}")
        return cls(_read(kind, document), parse_signature(document["signature"]))


def sign(statement: Statement, key: SigningKey) -> Signed:
    """Sign ``statement``. Deterministic (RFC 6979): signing twice gives the same bytes."""
    return Signed(statement, key.sign(statement.signing_digest()))


def _document(statement: Statement) -> Json:
    document: Json = {"format": statement.FORMAT}
    for item in fields(statement):
        value = getattr(statement, item.name)
        document[item.name] = value.hex() if isinstance(value, bytes) else value
    return document


def _read(kind: type[S], document: Json) -> S:
    members = fields(kind)
    reader = Fields(document, ("format", "signature", *(item.name for item in members)), kind.__name__)
    return kind(**{item.name: _read_quantity(reader, item.name, SOLIDITY[str(item.type)]) for item in members})


def _read_quantity(reader: Fields, key: str, solidity: str) -> Any:
    if solidity == "bytes32":
        return reader.digest(key)
    if solidity == "address":
        return parse_address(reader.text(key))
    if solidity == "string":
        return reader.text(key, max_length=MAX_TEXT)
    return reader.integer(key, 0, 2 ** min(53, int(solidity.removeprefix("uint"))) - 1)
