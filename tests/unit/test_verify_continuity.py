from __future__ import annotations

from dataclasses import replace

import pytest

from attestrain.record.blob import CELL, blob_ref
from attestrain.record.names import Round, Worker
from attestrain.verify.checks import Contradiction
from attestrain.verify.continuity import check_chain, zeros_ref
from tests.attacks.world import World


@pytest.mark.parametrize("cells", range(10))
@pytest.mark.parametrize("rest", [0, 1, CELL - 1])
def test_the_name_of_zeros_is_that_of_the_bytes(cells: int, rest: int) -> None:
    size = cells * CELL + rest
    assert zeros_ref(size) == blob_ref(bytes(size))


def test_the_name_of_a_terabyte_of_zeros_costs_nothing() -> None:
    assert zeros_ref(1 << 40).size == 1 << 40


def test_the_sequencer_can_check_a_receipt_before_it_stands() -> None:
    world = World().play()
    first, last = (world.ledger.rounds[Round(at)].receipts[Worker(1)].statement for at in (0, 2))
    check_chain(world.ledger, first)
    check_chain(world.ledger, last)
    with pytest.raises(Contradiction, match="begins with another state"):
        check_chain(world.ledger, replace(last, first_state=first.first_state))
