"""Claim (3), enrolments: every key was enrolled on chain, by the account and for the rounds that its join names.

The registry hashed account, session key, last round, evidence, a recent block and its own time into one word when it
took the key. So a key cannot be dated back, and its evidence is judged at the time at which it was given. A last round
beyond the run's gives nothing: no statement names a round that is not opened, and none is opened beyond the spec's.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from attestrain.record.chain import EnrolmentFact
from attestrain.record.digest import ZERO_DIGEST
from attestrain.record.names import Address
from attestrain.record.statements import Join
from attestrain.rules.ledger import Ledger
from attestrain.rules.slots import enrolment_entry
from attestrain.verify.chain import ChainState
from attestrain.verify.checks import require


def joins(ledger: Ledger) -> list[Join]:
    """Every join, by role and slot."""
    return [item.statement for _, held in sorted(ledger.joins.items()) for item in held]


def check_enrolments(ledger: Ledger, state: ChainState) -> tuple[None, str]:
    """Every key that the transcript knows was enrolled on chain, by the same account, for the same rounds.

    Raises:
        Missing: the bundle does not prove an enrolment.
        Contradiction: a key was never enrolled, or with something else.
    """
    known = joins(ledger)
    named = {_key(fact) for fact in state.facts.enrolments}
    strays = named - set(map(_key, known))
    require(not strays, f"the facts tell of {min(strays, default='')}, who never joined")
    bounds = _bounds(ledger)
    for join in known:
        entry, fact = state.enrolment(join)
        name = _key(join)
        require(entry != ZERO_DIGEST, f"{name} was never enrolled on chain")
        _require_past(fact, state, name)
        bound = bounds.get(join.session, state.header.number)
        require(
            fact.block_number < bound,
            f"{name} was enrolled after its join was anchored, with block {fact.block_number}",
        )
        stated = enrolment_entry(
            join.participant,
            join.session,
            join.until,
            join.evidence,
            fact.block_number,
            fact.block_hash,
            fact.timestamp,
        )
        require(entry == stated, f"{name} was enrolled on chain with another account, key, term, evidence or time")
    return None, f"{len(known)} keys, as enrolled on chain"


def _bounds(ledger: Ledger) -> dict[Address, int]:
    """By session key, the height of the first beacon whose anchor covers the join: the enrolment's block is older.

    Without this a key could be used first and enrolled, with evidence, when all is over.
    """
    beacons = [item.statement for item in ledger.beacons.values()]
    sizes = list(accumulate((beacon.size for beacon in beacons), max))
    found: dict[Address, int] = {}
    for item in (item for held in ledger.joins.values() for item in held):
        place = bisect_right(sizes, item.index)
        if place < len(beacons):
            found[item.statement.session] = beacons[place].height
    return found


def _key(item: Join | EnrolmentFact) -> str:
    """A key epoch in words."""
    return f"{item.role} {item.worker} in key epoch {item.key_epoch}"


def _require_past(fact: EnrolmentFact, state: ChainState, name: str) -> None:
    """Nothing in a block's state happened after it. An honest chain cannot say otherwise; a made-up one must not."""
    past = fact.timestamp <= state.header.timestamp and fact.block_number < state.header.number
    require(past, f"{name} was enrolled after block {state.header.number}, whose state says so")
