"""An honest world of keepers: each has a store of its own, holds its shards and has acknowledged them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from attestrain.availability.dispersing import Slot, disperse
from attestrain.availability.keeping import accept, own_shards
from attestrain.availability.retrieval import Retrieval
from attestrain.record.blob import CELL
from attestrain.record.certificate import Certificate, SignedBy
from attestrain.record.digest import Digest, sha256
from attestrain.record.dispersal import Commitment, Dispersal
from attestrain.record.keys import SigningKey
from attestrain.record.merkle import leaf_hash, root_of_hashes
from attestrain.record.names import Address, Branch, Round, RunId, Worker
from attestrain.rules.certificates import allot
from attestrain.store.depot import Depot, data_name
from attestrain.store.objects import FolderObjects

SLOT = Slot(RunId(sha256(b"a run")), Branch(0), Round(3), Worker(1), Round(9))
DATA = hashlib.shake_256(b"an update").digest(7 * CELL + 1234)


@dataclass
class World:
    keys: dict[Address, SigningKey]
    depots: dict[Address, Depot]
    commitment: Commitment
    acknowledgements: list[SignedBy]
    shards: list[bytes]

    @property
    def dispersal(self) -> Dispersal:
        return self.commitment.dispersal

    def certificate(self, items: list[SignedBy] | None = None) -> Certificate:
        return Certificate(self.dispersal.digest(), tuple(self.acknowledgements if items is None else items))

    def read(self, shard: int, start: int, length: int) -> bytes:
        """Ask the keeper of a shard: what its disk holds, unchecked, as a lying keeper would send it."""
        depot = self.depots[self.dispersal.keepers[shard]]
        return depot.objects.read(data_name(self.dispersal.roots[shard]), start, length)

    def retrieval(self) -> Retrieval:
        return Retrieval(self.commitment, self.read)

    def wipe(self, keeper: Address) -> None:
        """Lose everything that a keeper has."""
        objects = self.depots[keeper].objects
        for held in list(objects.list()):
            objects.delete(held.name)

    def spoil(self, keeper: Address) -> None:
        """Flip a bit of every shard that a keeper has."""
        for shard in own_shards(self.dispersal, keeper):
            name = data_name(self.dispersal.roots[shard])
            if size := self.depots[keeper].objects.size(name):
                data = bytearray(self.depots[keeper].objects.read(name, 0, size))
                data[size // 2] ^= 4
                self.depots[keeper].objects.put(name, data)


def keeper_keys(count: int) -> dict[Address, SigningKey]:
    keys = [SigningKey(sha256(b"keeper %d" % index)) for index in range(count)]
    return {key.address: key for key in sorted(keys, key=lambda key: key.address)}


def honest_keepers(folder: Path, *, keepers: int = 4, parity: int = 2, data: bytes = DATA) -> World:
    keys = keeper_keys(keepers)
    allotment = allot(dict.fromkeys(keys, 1), keepers)
    commitment, shards = disperse(data, SLOT, parity, allotment)
    depots = {name: Depot(FolderObjects(folder / name)) for name in keys}
    signed = [
        accept(depots[name], key, commitment, {i: shards[i] for i in own_shards(commitment.dispersal, name)})
        for name, key in keys.items()
    ]
    return World(keys, depots, commitment, signed, shards)


def falsely_coded(shards: list[bytes], honest: Commitment, shard: int, at: int) -> tuple[Commitment, list[bytes]]:
    """A worker's lie: one bit of one parity shard is wrong, and committed to."""
    spoiled = bytearray(shards[shard])
    spoiled[at] ^= 1
    changed: tuple[Digest, ...] = tuple(leaf_hash(spoiled[i : i + CELL]) for i in range(0, len(spoiled), CELL))
    leaves = (*honest.leaves[:shard], changed, *honest.leaves[shard + 1 :])
    roots = tuple(map(root_of_hashes, leaves))
    lie = Commitment(replace(honest.dispersal, roots=roots), leaves)
    return lie, [*shards[:shard], bytes(spoiled), *shards[shard + 1 :]]
