"""Payouts: who is owed what by a finished run, and the Merkle root under which the chain lets each claim it.

Every worker-round whose update moved a checkpoint is one share. A worker with a proven fault gets none; its shares are
not paid to others either, they simply do not count. The budget is divided in whole wei, rounded down, so the sum never
exceeds it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from attestrain.record.digest import ZERO_DIGEST, Digest
from attestrain.record.eip712 import address_bytes, keccak256
from attestrain.record.names import Address, Round, RunId, Worker
from attestrain.rules.accumulator import word
from attestrain.rules.faults import faults
from attestrain.rules.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Payouts:
    """What a run owes, in wei by account, and on which chain.

    The tree is OpenZeppelin's: leaves hashed twice, pairs sorted, an odd node at the end of a level goes up as it is.
    """

    chain_id: int
    run: RunId
    amounts: Mapping[Address, int]

    @property
    def total(self) -> int:
        """Sum of all amounts."""
        return sum(self.amounts.values())

    @property
    def root(self) -> Digest:
        """Root of the tree; zero if nothing is owed."""
        levels = self._levels()
        return levels[-1][0] if levels[0] else ZERO_DIGEST

    def proof(self, account: Address) -> list[Digest]:
        """Siblings from an account's leaf to the root.

        Raises:
            KeyError: the account is owed nothing.
        """
        index, path = sorted(self.amounts).index(account) if account in self.amounts else -1, []
        if index < 0:
            raise KeyError(account)
        for level in self._levels()[:-1]:
            if index ^ 1 < len(level):
                path.append(level[index ^ 1])
            index //= 2
        return path

    def _levels(self) -> list[list[Digest]]:
        levels = [[self._leaf(account) for account in sorted(self.amounts)]]
        while len(levels[-1]) > 1:
            below = levels[-1]
            levels.append([_pair(below[place : place + 2]) for place in range(0, len(below), 2)])
        return levels

    def _leaf(self, account: Address) -> Digest:
        place = word(self.chain_id) + self.run + address_bytes(account).rjust(32, b"\x00")
        return Digest(keccak256(keccak256(place + word(self.amounts[account]))))


def _pair(nodes: list[Digest]) -> Digest:
    return nodes[0] if len(nodes) == 1 else Digest(keccak256(b"".join(sorted(nodes))))


def payouts(ledger: Ledger, members: Mapping[Round, Iterable[Worker]], budget: int, chain_id: int) -> Payouts:
    """What a finished run owes.

    Args:
        ledger: its transcript.
        members: per round, the workers whose update moved the checkpoint.
        budget: wei to divide.
        chain_id: of the chain that pays.
    """
    proven = faults(ledger)
    shares = Counter(worker for inside in members.values() for worker in inside if worker not in proven)
    whole = sum(shares.values())
    amounts: Counter[Address] = Counter()
    for worker, count in shares.items():
        amounts[ledger.participant(worker)] += budget // whole * count
    return Payouts(chain_id, ledger.spec.run_id, {account: amount for account, amount in amounts.items() if amount})
