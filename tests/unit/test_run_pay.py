from __future__ import annotations

import pytest

from attestrain.errors import FormatError
from attestrain.record.canonical import canonical
from attestrain.record.digest import Digest
from attestrain.record.names import Address, RunId
from attestrain.rules.payouts import Payouts
from attestrain.run.pay import FORMAT, payouts_document, read_payouts

RUN = RunId(Digest(bytes(range(32))))
ONE, TWO = Address("0x" + "11" * 20), Address("0x" + "22" * 20)
OWED = Payouts(31337, RUN, {ONE: 1, TWO: 2**128 - 1})


def _document(**changes: object) -> bytes:
    whole = {"format": FORMAT, "run": RUN.hex(), "chain_id": 31337, "amounts": {ONE: "5"}}
    return canonical(whole | changes)


def test_what_is_told_is_what_is_read():
    assert read_payouts(payouts_document(OWED)) == OWED
    assert read_payouts(payouts_document(OWED)).root == OWED.root


@pytest.mark.parametrize("amount", ["0", "05", "-1", "1.5", "", "1e3", "\u0661", str(2**128), "9" * 60, 5, None])
def test_an_amount_is_a_positive_number_that_the_contract_can_hold(amount):
    with pytest.raises(FormatError):
        read_payouts(_document(amounts={ONE: amount}))


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "attestrain.dev/payouts@v2"},
        {"run": "00"},
        {"chain_id": 0},
        {"amounts": []},
        {"amounts": {"0x" + "AA" * 20: "1"}},
        {"amounts": {f"0x{number:040x}": "1" for number in range(10_001)}},
        {"more": 1},
    ],
    ids=["format", "run", "chain", "list", "checksummed", "too many", "unknown field"],
)
def test_malformed_payouts_are_refused(changes):
    with pytest.raises(FormatError):
        read_payouts(_document(**changes))
