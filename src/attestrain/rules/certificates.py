"""When a blob counts as available: who keeps which shard, and how many acknowledgements are enough.

Shards go to keepers by stake, so n shards with f of them lost are "f of n by stake". With n = 3f + 1 and k = f + 1 a
certificate needs 2f + 1 shards acknowledged; in general k + f with f half of the parity: f keepers' shards may stay
away while it is collected, and f of those acknowledged may be lies or be lost afterwards, and k are left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attestrain.errors import FormatError
from attestrain.record.certificate import Certificate, SignedBy, acknowledgement
from attestrain.record.dispersal import Dispersal
from attestrain.record.keys import recover
from attestrain.record.names import Address


def allot(stakes: Mapping[Address, int], shards: int) -> tuple[Address, ...]:
    """The keeper of each shard: shares of ``shards`` proportional to stake, by largest remainder.

    Equal remainders are settled by address. A keeper whose stake is too small gets none.

    Raises:
        FormatError: no stake at all, or a negative one.
    """
    total = sum(stakes.values())
    if total <= 0 or min(stakes.values()) < 0:
        raise FormatError("shards are allotted by stakes that are not negative and not all zero")
    counts = {keeper: shards * stake // total for keeper, stake in stakes.items()}
    left = shards - sum(counts.values())
    for keeper in sorted(stakes, key=lambda keeper: (-(shards * stakes[keeper] % total), keeper))[:left]:
        counts[keeper] += 1
    return tuple(keeper for keeper in sorted(counts) for _ in range(counts[keeper]))


@dataclass(frozen=True, slots=True)
class Tally:
    """What a certificate amounts to.

    Attributes:
        keepers: whose acknowledgements count.
        rejected: keepers named in the certificate whose acknowledgement does not, once each.
        shards: shards that the counted keepers acknowledge.
        needed: shards that a certificate needs, k + f.
        losses: of the acknowledged shards, how many may be lost or lied about.
        liars: how many of the counted keepers, whichever, may be gone with all their shards.
    """

    keepers: tuple[Address, ...]
    rejected: tuple[Address, ...]
    shards: int
    needed: int
    losses: int
    liars: int

    @property
    def certified(self) -> bool:
        """Whether it is enough."""
        return self.shards >= self.needed


def tally(dispersal: Dispersal, certificate: Certificate) -> Tally:
    """Count a certificate. A keeper counts once, however often it is named, and only for shards that it was given.

    That ``dispersal`` gave the shards by stake, and has the run's shape, is the caller's to check: its keepers are
    those of `allot`, or a single key could have certified its own blob.

    Raises:
        FormatError: the certificate is about another dispersal.
    """
    if certificate.dispersal != dispersal.digest():
        raise FormatError("the certificate is about another dispersal")
    given = {keeper: dispersal.keepers.count(keeper) for keeper in set(dispersal.keepers)}
    named = {item.keeper for item in certificate.acknowledgements}
    counted = {item.keeper for item in certificate.acknowledgements if item.keeper in given and signed(dispersal, item)}
    shards = sum(given[keeper] for keeper in counted)
    spare = shards - dispersal.shape.data
    return Tally(
        tuple(sorted(counted)),
        tuple(sorted(named - counted)),
        shards,
        dispersal.shape.quorum,
        max(0, spare),
        _worst(sorted((given[keeper] for keeper in counted), reverse=True), spare),
    )


def signed(dispersal: Dispersal, item: SignedBy) -> bool:
    """Whether the keeper that is named signed the acknowledgement of this dispersal."""
    try:
        return recover(acknowledgement(dispersal, item.keeper).signing_digest(), item.signature) == item.keeper
    except FormatError:
        return False


def _worst(counts: list[int], spare: int) -> int:
    """How many keepers can go, those with most shards first, before more than ``spare`` shards are gone."""
    gone = 0
    for number, count in enumerate(counts):
        gone += count
        if gone > spare:
            return number
    return len(counts)
