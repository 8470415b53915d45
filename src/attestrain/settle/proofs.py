"""From a node's answers to chain facts: a header, rebuilt so that its hash can be checked, and proofs under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from attestrain.errors import FormatError, Unreachable
from attestrain.record.chain import AccountProof, CaseFact, ChainFacts, EnrolmentFact
from attestrain.record.digest import Digest
from attestrain.record.eip712 import address_bytes, keccak256
from attestrain.record.names import Address, RunId
from attestrain.record.statements import Join
from attestrain.rules.header import read_header
from attestrain.rules.rlp import encode, encode_integer
from attestrain.rules.slots import account_slots, case_slot, enrolment_slot, run_slots, wiring_slots
from attestrain.rules.trie import EMPTY_TRIE, read_account, read_slot
from attestrain.settle.deployment import Deployment
from attestrain.settle.rpc import Rpc, as_bytes, as_int

HEADER: tuple[tuple[str, bool], ...] = (
    ("parentHash", False),
    ("sha3Uncles", False),
    ("miner", False),
    ("stateRoot", False),
    ("transactionsRoot", False),
    ("receiptsRoot", False),
    ("logsBloom", False),
    ("difficulty", True),
    ("number", True),
    ("gasLimit", True),
    ("gasUsed", True),
    ("timestamp", True),
    ("extraData", False),
    ("mixHash", False),
    ("nonce", False),
    ("baseFeePerGas", True),
    ("withdrawalsRoot", False),
    ("blobGasUsed", True),
    ("excessBlobGas", True),
    ("parentBeaconBlockRoot", False),
    ("requestsHash", False),
)
"""Fields of a header in order, and whether each is a quantity; chains that lack the later ones leave them out."""
SLOTS_A_CALL = 128
"""Most slots asked for at once: nodes bound their answers."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block: number, hash, time (seconds since 1970)."""

    number: int
    hash: Digest
    timestamp: int


def read_block(rpc: Rpc, which: int | str) -> tuple[Block, bytes]:
    """A block and the RLP of its header, which hashes to its name.

    Raises:
        Unreachable: the chain does not answer, has no such block, or its header is of a kind unknown here.
    """
    data = rpc.object("eth_getBlockByNumber", hex(which) if isinstance(which, int) else which, False)
    if data is None:
        raise Unreachable(f"chain has no block {which}")
    header = _header(data)
    digest = Digest(as_bytes(data.get("hash"), 32))
    if keccak256(header) != digest:
        raise Unreachable(f"block {which} does not hash to its name: its header has fields unknown here")
    number = as_int(data.get("number"))
    if isinstance(which, int) and number != which:
        raise Unreachable(f"chain answers with block {number} where block {which} belongs")
    return Block(number, digest, as_int(data.get("timestamp"))), header


def _header(data: dict[str, Any]) -> bytes:
    fields = [
        encode_integer(as_int(data[name])) if quantity else encode(as_bytes(data[name]))
        for name, quantity in HEADER
        if data.get(name) is not None
    ]
    body = b"".join(fields)
    return _list(body)


def _list(body: bytes) -> bytes:
    """A list around encoded items."""
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return (bytes([0xC0 + len(body)]) if len(body) < 56 else bytes([0xF7 + len(size)]) + size) + body


def gather_facts(
    rpc: Rpc,
    deployment: Deployment,
    run: RunId,
    joins: Sequence[Join],
    enrolments: tuple[EnrolmentFact, ...],
    cases: tuple[CaseFact, ...],
    number: int,
) -> tuple[ChainFacts, Block]:
    """Prove every slot that a verdict on ``run`` reads, in block ``number``.

    Args:
        rpc: the chain.
        deployment: the contracts.
        run: identifies the run.
        joins: of everybody, cases' accused among them.
        enrolments: what the chain says of each.
        cases: those to prove.
        number: the block's.

    Raises:
        Unreachable: as `read_block`, or a proof has another shape, or does not hold in that block.
    """
    block, header = read_block(rpc, number)
    accounts = {join.participant for join in joins}
    workers = {join.worker: join.participant for join in joins if join.role == "worker"}
    wanted = {
        "ledger": run_slots(run),
        "vault": tuple(slot for account in accounts for slot in account_slots(account)),
        "registry": tuple(enrolment_slot(run, j.role, j.worker, j.key_epoch, j.participant) for j in joins),
        "cases": tuple(case_slot(run, c.round, c.worker, c.segment, workers[c.worker]) for c in cases),
        "settlement": run_slots(run)[:3],
    }
    wanted = {name: (*slots, *wiring_slots(name)) for name, slots in wanted.items()}
    proofs = {at: _prove(rpc, at, wanted[name], block.number) for name, at in deployment.contracts.items()}
    for at, proof in proofs.items():
        _require_proved(header, at, proof)
    return ChainFacts(deployment.chain_id, deployment.contracts, header, proofs, enrolments, cases), block


def _require_proved(header: bytes, address: Address, proof: AccountProof) -> None:
    """Nodes do answer with proofs of another state than the block's; in a bundle they would refute an honest run."""
    try:
        account = read_account(read_header(header).state_root, address_bytes(address), proof.proof)
        if account is None:
            raise Unreachable(f"there is no contract at {address} in the block that was to prove it")
        for slot, nodes in proof.slots.items():
            read_slot(account.storage_root, slot, nodes)
    except FormatError as error:
        raise Unreachable(f"chain's proof for {address} does not hold in its own block: {error}") from error


def _prove(rpc: Rpc, address: Address, slots: tuple[bytes, ...], number: int) -> AccountProof:
    nodes: tuple[bytes, ...] = ()
    found: dict[bytes, tuple[bytes, ...]] = {}
    for begin in range(0, max(1, len(slots)), SLOTS_A_CALL):
        asked = slots[begin : begin + SLOTS_A_CALL]
        answer = rpc.object("eth_getProof", address, ["0x" + slot.hex() for slot in asked], hex(number)) or {}
        nodes = _nodes(answer.get("accountProof"))
        empty = as_bytes(answer.get("storageHash"), 32) == EMPTY_TRIE
        storage = answer.get("storageProof")
        if not isinstance(storage, list) or len(storage) != len(asked):
            raise Unreachable("chain proves other slots than it was asked for")
        for slot, item in zip(asked, storage, strict=True):
            found[slot] = () if empty else _nodes(item.get("proof"))
    return AccountProof(nodes, found)


def _nodes(value: object) -> tuple[bytes, ...]:
    if not isinstance(value, list):
        raise Unreachable("chain answers with something that is not a proof")
    return tuple(map(as_bytes, value))
