"""Enrolment: how a participant takes its slot, from its keys to the join that everyone checks.

Without a chain a join is a signed statement and nothing else. With one, the participant stakes and enrols its session
key on chain; with evidence, a quote binds that key to what was measured where it lives, to the run, the slot, and a
recent block. What was made is on disk before it is sent, so a process that is started again sends the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from attestrain.attester.machine import Machine
from attestrain.attester.measure import measured_events
from attestrain.record.digest import ZERO_DIGEST, Digest, sha256
from attestrain.record.evidence import Evidence, report_data
from attestrain.record.keys import SigningKey
from attestrain.record.names import KeyEpoch, Round, Size, Text, Worker
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Beacon, Join, Signed, sign
from attestrain.settle.client import ChainClient
from attestrain.settle.rpc import Reverted
from attestrain.store.atomic import write_atomic

JOIN = "join.json"
"""A participant's signed join, in its own folder."""
EVIDENCE = "evidence.json"
"""The evidence that it names."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a participant takes: a slot, under its keys, for some rounds.

    Attributes:
        role, slot: which slot.
        participant: key of the account that stakes and is paid.
        session: key that signs the work.
        key_epoch: which life of the session key this is.
        environment: digest of the environment it computes in.
    """

    role: str
    slot: Worker
    participant: SigningKey
    session: SigningKey
    key_epoch: KeyEpoch
    environment: Digest


class Reader(Protocol):
    """Where the transcript can be read."""

    def entries(self, since: int) -> Sequence[bytes]:
        """Entries from ``since`` on, as many as an answer holds; none at the end."""
        ...


def latest_beacon(reader: Reader) -> Beacon | None:
    """The latest beacon of a transcript."""
    beacon, size = None, 0
    while entries := reader.entries(size):
        size += len(entries)
        said = (Signed.from_bytes(entry).statement for entry in entries)
        beacon = next((item for item in reversed(list(said)) if isinstance(item, Beacon)), beacon)
    return beacon


class Enrolment:
    """Makes and remembers a participant's join.

    Args:
        spec: the run spec.
        folder: the participant's own.
        client: its access to the chain; None for a run without one.
        stake: what its role stakes, in wei.
        machine: gives evidence; None for a run without.
        beacon: the latest one, if the chain is embedded.
    """

    def __init__(
        self,
        spec: RunSpec,
        folder: Path,
        client: ChainClient | None,
        stake: int,
        machine: Machine | None,
        beacon: Beacon | None = None,
    ) -> None:
        self._spec = spec
        self._folder = folder
        self._client = client
        self._stake = stake
        self._machine = machine
        self._beacon = beacon

    def take(self, place: Place) -> tuple[Signed, bytes | None]:
        """The signed join for ``place``, enrolled on chain if there is one, and the evidence that it names.

        Raises:
            Unreachable: the chain does not answer.
            UsageError: the account cannot stake.
        """
        known = self._known()
        if known is not None and (self._enrolled(known[0]) or self._enrol_again(*known)):
            return known
        made = self._make(place)
        self._remember(*made)
        self._enrol(*made)
        return made

    def _make(self, place: Place) -> tuple[Signed, bytes | None]:
        number, block = self._recent_block()
        evidence = None if self._machine is None else self._evidence(self._machine, place, number, block).to_bytes()
        join = Join(
            run=self._spec.run_id,
            role=Text(place.role),
            worker=place.slot,
            participant=place.participant.address,
            session=place.session.address,
            key_epoch=place.key_epoch,
            until=Round(self._spec.schedule.rounds - 1),
            environment=place.environment,
            evidence=ZERO_DIGEST if evidence is None else sha256(evidence),
        )
        return sign(join, place.participant), evidence

    def _recent_block(self) -> tuple[Size, Digest]:
        """A block that did not exist long ago, so that what rests on it cannot be old; zero without a chain.

        On an embedded chain it is the latest beacon's: whatever is killed, that block is there to stay.
        """
        if self._client is None:
            return Size(0), ZERO_DIGEST
        if self._beacon is not None:
            return self._beacon.height, self._beacon.value
        block = self._client.block()
        return Size(block.number), block.hash

    def _evidence(self, machine: Machine, place: Place, number: Size, block: Digest) -> Evidence:
        bound = report_data(
            session=place.session.address,
            participant=place.participant.address,
            run=self._spec.run_id,
            role=place.role,
            worker=place.slot,
            key_epoch=place.key_epoch,
            block_number=number,
            block_hash=block,
        )
        return machine.evidence(bound, measured_events(self._spec, place.environment), number, block)

    def _enrolled(self, signed: Signed) -> bool:
        join = signed.statement
        return self._client is None or (isinstance(join, Join) and self._client.enrolment(join) is not None)

    def _enrol(self, signed: Signed, evidence: bytes | None) -> None:
        join = signed.statement
        if self._client is None or not isinstance(join, Join):
            return
        block = Size(0) if evidence is None else Evidence.from_bytes(evidence).block_number
        missing = self._stake - self._client.account(join.participant).stake
        if missing > 0:
            self._client.deposit(missing)
        self._client.enrol(join, block)

    def _enrol_again(self, signed: Signed, evidence: bytes | None) -> bool:
        """Enrol what was made before a crash; False if the chain does not take it any more: its block is too old."""
        try:
            self._enrol(signed, evidence)
        except Reverted:
            return False
        return True

    def _known(self) -> tuple[Signed, bytes | None] | None:
        path, evidence = self._folder / JOIN, self._folder / EVIDENCE
        if not path.is_file():
            return None
        signed = Signed.from_bytes(path.read_bytes())
        return signed, evidence.read_bytes() if evidence.is_file() else None

    def _remember(self, signed: Signed, evidence: bytes | None) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if evidence is not None:
            write_atomic(self._folder / EVIDENCE, evidence)
        write_atomic(self._folder / JOIN, signed.to_bytes())
