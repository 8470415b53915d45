"""Pay: what a network's run owes, as its node tells participants elsewhere, and how each of them claims its own.

What the service tells is believed only as far as the chain bears it out: the root that follows from it must be the one
that was posted, or the claim would not be paid anyway. Whether the posted amounts are right is claim 10 of a verdict.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from attestrain.errors import FormatError, Refuted
from attestrain.record.canonical import MAX_INTEGER, canonical, parse
from attestrain.record.fields import Fields
from attestrain.record.keys import parse_address
from attestrain.record.names import Address, RunId
from attestrain.record.spec import MAX_WORKERS
from attestrain.rules.payouts import Payouts
from attestrain.run.local import LocalNetwork
from attestrain.run.service.client import Caller
from attestrain.run.settling import Settling
from attestrain.settle.client import ChainClient

FORMAT = "attestrain.dev/payouts@v1"
TARGET = "/v1/run/payouts"
MAX_PAYOUTS = 1 << 21
"""Largest document: the most workers of a run, each with an address and an amount, take half of it."""
HEAR_SECONDS = 5.0
"""Seconds that a node without a chain goes on answering after its run: nobody pauses longer between two questions."""
CLAIM_SECONDS = 60.0
"""Seconds that a node waits for participants to claim."""
POST_SECONDS = 600.0
"""Longest that participants wait until pay is posted: a slow chain needs minutes until the last anchor counts."""
PAUSE = 0.5
"""Seconds between two questions for it."""

_AMOUNT = re.compile(r"[1-9][0-9]{0,38}\Z")


def payouts_document(owed: Payouts) -> bytes:
    """Canonical document of what is owed."""
    amounts = {account: str(amount) for account, amount in owed.amounts.items()}
    return canonical({"format": FORMAT, "run": owed.run.hex(), "chain_id": owed.chain_id, "amounts": amounts})


def read_payouts(data: bytes) -> Payouts:
    """Read the document strictly.

    Raises:
        FormatError: malformed or out of bounds.
    """
    fields = Fields(parse(data, max_bytes=MAX_PAYOUTS), ("format", "run", "chain_id", "amounts"), "payouts")
    fields.constant("format", FORMAT)
    amounts = fields.object("amounts")
    if len(amounts) > MAX_WORKERS:
        raise FormatError(f"payouts go to more than {MAX_WORKERS} accounts")
    read = {parse_address(account): _amount(value) for account, value in amounts.items()}
    return Payouts(fields.integer("chain_id", 1, MAX_INTEGER), RunId(fields.digest("run")), read)


def _amount(value: object) -> int:
    if not isinstance(value, str) or not _AMOUNT.match(value) or int(value) >= 2**128:
        raise FormatError("an amount is a positive number of wei, as decimal text")
    return int(value)


def part(network: LocalNetwork, settling: Settling | None, settle: Callable[[], Payouts]) -> None:
    """Go on serving after the end of a run until participants elsewhere have heard of it and taken their pay.

    Args:
        network: serves them.
        settling: the run's end on its chain; None without one.
        settle: closes the run there and posts what it owes; may be repeated.
    """
    if settling is None:
        network.wait(lambda: False, HEAR_SECONDS)
        return
    owed = network.meanwhile(settle)
    network.service.desk.payouts = payouts_document(owed)
    network.wait(lambda: settling.all_claimed(owed), CLAIM_SECONDS)
    network.meanwhile(lambda: settling.claim_rest(owed))
    settling.all_claimed(owed)


def collect(caller: Caller, client: ChainClient, run: RunId, account: Address) -> int | None:
    """Claim an account's pay; what it was, in wei, or None if nothing was posted in time.

    Raises:
        Refuted: the service tells something else than the chain holds.
        Unreachable: the chain does not answer.
    """
    end = time.monotonic() + POST_SECONDS
    while (answer := caller.ask("GET", TARGET, most=MAX_PAYOUTS)).status != 200:
        if time.monotonic() > end:
            return None
        time.sleep(PAUSE)
    owed = read_payouts(answer.body)
    if owed.run != run or owed.root != client.payout_root(run):
        raise Refuted("the service tells other payouts than the chain holds")
    amount = owed.amounts.get(account, 0)
    if amount:
        client.claim(run, account, amount, owed.proof(account))
    return amount
