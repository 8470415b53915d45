"""An invitation: what one participant needs to find a network, to know that it is the right one, and to take a slot.

Whoever holds the file may take the slot, so it is private. The fingerprint is no secret: it names the network (its run,
its sequencer's account and the key of its transcript), is the same in all its invitations, and is what people compare
over another channel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from attestrain.attester.platform import Platform
from attestrain.errors import FormatError, UsageError
from attestrain.record.canonical import canonical, parse
from attestrain.record.digest import Digest
from attestrain.record.evidence import MAX_EVIDENCE
from attestrain.record.fields import Fields
from attestrain.record.keys import SigningKey
from attestrain.record.names import RunId, Worker
from attestrain.record.spec import MAX_WORKERS
from attestrain.record.statements import ROLES
from attestrain.run.service.auth import Door
from attestrain.store.atomic import write_atomic
from attestrain.store.keystore import PRIVATE, read_private

FORMAT = "attestrain.dev/invite@v1"
MAX_INVITE = MAX_EVIDENCE
"""Largest invitation: nearly all of it is the platform of a run with simulated evidence."""
MAX_URL = 256
SHOWN = 32
"""Hexadecimal digits of a fingerprint that people compare: 128 bits."""

_FINGERPRINT = re.compile(r"[0-9a-f]{32,64}\Z")


@dataclass(frozen=True, slots=True)
class Invite:
    """An invitation.

    Attributes:
        door: where the network's service is, and its name.
        run: the run's name.
        role, slot: what it invites to.
        key: for a worker it signs the claim of the slot for whatever account the participant has; an auditor's is the
            participant's own, because verifiers pin the accounts of auditors before anybody joins.
        platform: the simulated platform of a run that asks for simulated evidence.
    """

    door: Door
    run: RunId
    role: str
    slot: Worker
    key: SigningKey
    platform: Platform | None = field(default=None, repr=False)

    @property
    def fingerprint(self) -> str:
        """What people compare."""
        return fingerprint(self.door.service)

    def to_bytes(self) -> bytes:
        """Canonical document, the secret included."""
        return canonical(
            {
                "format": FORMAT,
                "url": self.door.url,
                "service": self.door.service.hex(),
                "run": self.run.hex(),
                "role": self.role,
                "slot": self.slot,
                "key": self.key.to_bytes().hex(),
                "platform": None if self.platform is None else self.platform.to_bytes().decode("utf-8"),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Invite:
        """Read an invitation strictly.

        Raises:
            FormatError: malformed.
        """
        keys = ("format", "url", "service", "run", "role", "slot", "key", "platform")
        document = parse(data, max_bytes=MAX_INVITE)
        fields = Fields(document, keys, "invite")
        fields.constant("format", FORMAT)
        platform = document["platform"]
        if platform is not None and not isinstance(platform, str):
            raise FormatError("invite.platform is not a document")
        return cls(
            door=Door(fields.text("url", max_length=MAX_URL), fields.digest("service")),
            run=RunId(fields.digest("run")),
            role=fields.choice("role", ROLES),
            slot=Worker(fields.integer("slot", 0, MAX_WORKERS)),
            key=SigningKey(fields.digest("key")),
            platform=None if platform is None else Platform.from_bytes(platform.encode("utf-8")),
        )

    def save(self, path: Path) -> None:
        """Write the file, readable by its owner only."""
        write_atomic(path, self.to_bytes(), mode=PRIVATE)


def load_invite(path: Path, expected: str | None) -> Invite:
    """Read an invitation, and compare its fingerprint with the ``expected`` one if there is one.

    Raises:
        UsageError: it cannot be read, is open to others, or is to another network.
        FormatError: it is malformed.
    """
    invite = Invite.from_bytes(read_private(path))
    if expected is not None:
        digits = expected.lower().replace(" ", "").replace(":", "")
        if not _FINGERPRINT.match(digits):
            raise UsageError("a fingerprint has 32 hexadecimal digits or more")
        if not invite.door.service.hex().startswith(digits):
            hint = "ask whoever runs the network which is right, and do not join until you know"
            raise UsageError(f"this invitation is to another network, {invite.fingerprint}", hint=hint)
    return invite


def fingerprint(service: Digest) -> str:
    """The fingerprint of a network's service as people read it: eight groups of four digits."""
    digits = service.hex()[:SHOWN]
    return " ".join(digits[at : at + 4] for at in range(0, SHOWN, 4))
