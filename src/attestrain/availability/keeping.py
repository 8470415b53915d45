"""A keeper's side: check the shards that are one's own, write them durably, and only then sign.

Shards are blobs in the keeper's store, pinned until the dispersal's rounds are over.
"""

from __future__ import annotations

from collections.abc import Mapping

from attestrain.errors import FormatError, Unreachable
from attestrain.record.blob import CELL, blob_ref
from attestrain.record.cells import CellProof, prove_cell
from attestrain.record.certificate import SignedBy, acknowledge
from attestrain.record.digest import Buffer
from attestrain.record.dispersal import Commitment, Dispersal
from attestrain.record.keys import SigningKey
from attestrain.record.names import Address
from attestrain.store import upkeep
from attestrain.store.depot import Depot


def own_shards(dispersal: Dispersal, keeper: Address) -> list[int]:
    """The shards that the dispersal gives a keeper."""
    return [index for index, name in enumerate(dispersal.keepers) if name == keeper]


def accept(depot: Depot, key: SigningKey, commitment: Commitment, shards: Mapping[int, Buffer]) -> SignedBy:
    """Keep one's shards and acknowledge them. Doing it again changes nothing and signs the same bytes.

    Raises:
        FormatError: no shard is this keeper's, or a shard is missing or not the one that the dispersal names; nothing
            is signed.
        Unreachable: the store refuses; nothing is signed.
    """
    dispersal = commitment.dispersal
    mine = own_shards(dispersal, key.address)
    if not mine or set(mine) != set(shards):
        raise FormatError(f"keeper {key.address} is given shards {mine} and not {sorted(shards)}")
    for index in mine:
        if blob_ref(shards[index]) != dispersal.shard(index):
            raise FormatError(f"these bytes are not shard {index} of the dispersal")
    for index in mine:
        upkeep.pin(depot, depot.put(shards[index]), _label(dispersal))
    return acknowledge(dispersal, key)


def release(depot: Depot, dispersal: Dispersal, keeper: Address) -> None:
    """Take the pins back once the dispersal's rounds are over; `upkeep.collect` frees what no other one needs."""
    for index in own_shards(dispersal, keeper):
        upkeep.unpin(depot, dispersal.shard(index), _label(dispersal))


def answer(depot: Depot, commitment: Commitment, shard: int, stripe: int) -> CellProof:
    """Answer a sample from the store.

    Raises:
        FormatError: there is no such cell, or the stored bytes are damaged.
        Unreachable: the shard is not in the store.
    """
    shape = commitment.dispersal.shape
    if not (0 <= shard < shape.shards and 0 <= stripe < shape.shard_cells(shard)):
        raise FormatError(f"shard {shard} has no cell {stripe}")
    ref = commitment.dispersal.shard(shard)
    if not depot.has(ref):
        raise Unreachable(f"shard {shard} is not in the store")
    return prove_cell(commitment, shard, stripe, depot.read(ref, stripe * CELL, shape.cell_size(shard, stripe)))


def _label(dispersal: Dispersal) -> str:
    """One pin for each dispersal, so that equal shards of two of them are kept until both are over."""
    return dispersal.digest().hex()
