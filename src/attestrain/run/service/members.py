"""Who may write to the service: accounts, each with the role and the slot it acts for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from attestrain.errors import UsageError
from attestrain.record.names import Address, Worker
from attestrain.run.service.limits import MAX_ACCOUNTS

INVITED = "invited"
"""Role of the key in an invitation: it may claim its slot and do nothing else."""


@dataclass(frozen=True, slots=True)
class Member:
    """What an account acts for: ``role`` and ``slot``; ``seat`` is the role that an invitation invites to."""

    role: str
    slot: Worker
    seat: str = ""


class Members:
    """Accounts that may write.

    Raises:
        UsageError: there are more than `MAX_ACCOUNTS` (also from `add`).
    """

    def __init__(self, members: Iterable[tuple[Address, Member]] = ()) -> None:
        self._members: dict[Address, Member] = {}
        for address, member in members:
            self.add(address, member)

    def add(self, address: Address, member: Member) -> None:
        """Let an account write."""
        if len(self._members) >= MAX_ACCOUNTS and address not in self._members:
            raise UsageError(f"more than {MAX_ACCOUNTS} accounts would write to this service")
        self._members[address] = member

    def of(self, address: Address) -> Member | None:
        """What an account acts for; None for strangers."""
        return self._members.get(address)
