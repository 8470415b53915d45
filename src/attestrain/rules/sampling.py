"""Random cells, asked of keepers with proofs: which ones, and how likely it is to miss what is gone.

A sample speaks of the cells that were drawn. It finds a keeper that lost a good part of what it keeps; it cannot find
one missing stripe of many, which is what acknowledgements, repair and data requests are for.
"""

from __future__ import annotations

from fractions import Fraction

from attestrain.record.digest import Digest, tagged
from attestrain.record.shape import Shape
from attestrain.rules.bijection import Bijection

TAG = "attestrain.dev/sample@v1"


def draw_cells(shape: Shape, seed: Digest, samples: int) -> list[tuple[int, int]]:
    """Shard and stripe of ``samples`` different cells, all sets of cells being equally likely under a random seed.

    Args:
        shape: of the blob.
        seed: what nobody knew when the blob was committed to, such as a later beacon.
        samples: how many; all cells if there are not so many.
    """
    order = Bijection(tagged(TAG, seed), shape.all_cells)
    return [_place(shape, order(index)) for index in range(min(samples, shape.all_cells))]


def _place(shape: Shape, cell: int) -> tuple[int, int]:
    """Cells of the blob come first, in its order, then those of the parity shards, one after the other."""
    if cell < shape.cells:
        return cell % shape.data, cell // shape.data
    shard, stripe = divmod(cell - shape.cells, shape.stripes)
    return shape.data + shard, stripe


def miss_probability(cells: int, missing: int, samples: int) -> Fraction:
    """Probability that ``samples`` different cells of ``cells`` avoid all ``missing`` ones.

    Hypergeometric: the product of (cells - missing - i) / (cells - i). Exact, as a fraction.
    """
    chance = Fraction(1)
    for index in range(min(samples, cells)):
        chance *= Fraction(max(0, cells - missing - index), cells - index)
    return chance
