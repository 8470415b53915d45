"""What a chain holds of ours, for people: its head, the contracts and whether their code is ours, one run.

Read from a node and believed, unlike what a verdict rests on (`verify.chain`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from attestrain.record.names import Address, RunId
from attestrain.rules.slots import PayoutWords, RunWords, run_slots
from attestrain.settle.contracts import decode_result, encode_call, other_code, other_wiring
from attestrain.settle.deployment import Deployment
from attestrain.settle.embedded import CHAIN_ID
from attestrain.settle.finality import FINALIZED, SEALED, finality
from attestrain.settle.proofs import Block, read_block
from attestrain.settle.rpc import Rpc

TERMS: dict[str, tuple[str, ...]] = {
    "ledger": ("beaconDelay", "caseWindow"),
    "vault": ("withdrawalDelay",),
    "cases": ("commitSeconds", "revealSeconds", "bond", "fine"),
}
"""Parameters that contracts were deployed with."""


@dataclass(frozen=True, slots=True)
class Overview:
    """A chain as a node tells it. Amounts are in wei, times in seconds since 1970.

    Attributes:
        chain_id: EIP-155.
        head, final: the latest block, and the latest that will stay.
        contracts: addresses.
        foreign: contracts whose code is not what this package ships.
        miswired: contracts of ours that obey somebody else than the others.
        terms: what they were deployed with; of those whose code is ours.
        run: the run asked for; None if none was, or it was never opened.
        payout: its pay.
    """

    chain_id: int
    head: Block
    final: Block
    contracts: Mapping[str, Address]
    foreign: tuple[str, ...]
    miswired: tuple[str, ...]
    terms: Mapping[str, int]
    run: RunWords | None
    payout: PayoutWords | None

    def to_json(self) -> dict[str, Any]:
        """The facts as a document; amounts are texts, because they do not fit a JSON number."""
        held = [
            {
                "contract": name,
                "address": at,
                "code": "foreign" if name in self.foreign else "miswired" if name in self.miswired else "ours",
            }
            for name, at in self.contracts.items()
        ]
        return {
            "chain_id": self.chain_id,
            "head": _block_json(self.head),
            "final": _block_json(self.final),
            **({"contracts": held, "terms": {name: str(value) for name, value in self.terms.items()}} if held else {}),
            **({"run": _run_json(self.run)} if self.run else {}),
            **({"payout": _payout_json(self.payout)} if self.payout and self.run else {}),
        }


def look(url: str, deployment: Deployment | None, run: RunId | None) -> Overview:
    """Ask a node.

    Raises:
        Unreachable: it does not answer, or not sensibly.
    """
    rpc = Rpc(url)
    contracts = deployment.contracts if deployment else {}
    foreign = tuple(other_code(rpc, deployment)) if deployment else ()
    chain_id = rpc.number("eth_chainId")
    rule = deployment.finality if deployment else SEALED if chain_id == CHAIN_ID else FINALIZED
    known = contracts if run and not foreign else {}
    words = RunWords.read(_words(rpc, known["ledger"], run, 4)) if run and known else None
    return Overview(
        chain_id=chain_id,
        head=read_block(rpc, "latest")[0],
        final=read_block(rpc, finality(rpc, rule).height())[0],
        contracts=contracts,
        foreign=foreign,
        miswired=() if foreign or not deployment else tuple(other_wiring(rpc, deployment)),
        terms=_terms(rpc, contracts, foreign),
        run=words if words and int(words.sequencer, 16) else None,
        payout=PayoutWords.read(_words(rpc, known["settlement"], run, 3)) if run and known else None,
    )


def _words(rpc: Rpc, at: Address, run: RunId, count: int) -> tuple[bytes, ...]:
    slots = run_slots(run)[:count]
    return tuple(rpc.word("eth_getStorageAt", at, "0x" + slot.hex(), "latest") for slot in slots)


def _terms(rpc: Rpc, contracts: Mapping[str, Address], foreign: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for contract in contracts.keys() & TERMS.keys() - set(foreign):
        for name in TERMS[contract]:
            request = {"to": contracts[contract], "data": "0x" + encode_call(contract, name).hex()}
            (value,) = decode_result(contract, name, rpc.bytes("eth_call", request, "latest"))
            found[name] = int(value)
    order = [name for names in TERMS.values() for name in names]
    return {name: found[name] for name in order if name in found}


def _block_json(block: Block) -> dict[str, Any]:
    return {"number": block.number, "hash": block.hash.hex(), "time": _time(block.timestamp)}


def _run_json(run: RunWords) -> dict[str, Any]:
    return {
        "sequencer": run.sequencer,
        "state": "closed" if run.closed else "open",
        "anchors": run.epochs,
        "missed": run.missed,
        "accumulator": run.accumulator.hex(),
        "deadline": _time(run.deadline),
        "closed_at": _time(run.closed_at) if run.closed else None,
        "worker_stake": str(run.worker_stake),
        "auditor_stake": str(run.auditor_stake),
    }


def _payout_json(payout: PayoutWords) -> dict[str, Any]:
    amounts = {"funded": payout.funded, "owed": payout.total, "claimed": payout.claimed}
    return {"root": payout.root.hex(), **{name: str(value) for name, value in amounts.items()}}


def _time(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):  # a deadline may be as far away as its sequencer likes
        return str(seconds)
