"""Calling the contracts: arguments to bytes and back, and putting them on a chain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attestrain.errors import FormatError, Refuted, Unreachable
from attestrain.record.chain import CONTRACTS
from attestrain.record.eip712 import WORD, keccak256
from attestrain.record.keys import SigningKey
from attestrain.record.names import Address
from attestrain.rules.slots import WIRING, address_in
from attestrain.settle.abi import decode, encode
from attestrain.settle.artefacts import load
from attestrain.settle.deployment import Deployment
from attestrain.settle.finality import FINALIZED, SEALED, finality
from attestrain.settle.rpc import Rpc, as_bytes, as_int
from attestrain.settle.sender import Receipt, Sender
from attestrain.settle.transactions import Call
from attestrain.verify.chain import code_hashes

PATIENCE = 60.0
"""Seconds to go on asking a chain that does not answer: an embedded one may be starting again."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Parameters of a deployment, fixed for ever: blocks, seconds and wei."""

    beacon_delay: int
    case_window: int
    withdrawal_delay: int
    commit_seconds: int
    reveal_seconds: int
    bond: int
    fine: int

    def arguments(self) -> dict[str, tuple[int, ...]]:
        """Constructor arguments by contract."""
        return {
            "ledger": (self.beacon_delay, self.case_window),
            "vault": (self.withdrawal_delay,),
            "registry": (),
            "cases": (self.commit_seconds, self.reveal_seconds, self.bond, self.fine),
            "settlement": (),
        }


def encode_call(contract: str, function: str, *arguments: Any) -> bytes:
    """Call data.

    Raises:
        FormatError: an argument does not fit its type.
    """
    selector, types, _ = load(contract).function(function)
    return selector + encode(types, arguments)


def decode_result(contract: str, function: str, data: bytes) -> tuple[Any, ...]:
    """Results of a call.

    Raises:
        Unreachable: the chain answers with something that is no such result.
    """
    try:
        return decode(load(contract).function(function)[2], data)
    except FormatError as error:
        raise Unreachable(f"chain answers a call of {contract}.{function} with something else: {error}") from error


def decode_event(contract: str, event: str, entry: object) -> dict[str, Any]:
    """Members of a log entry by name, and its block's number as ``block``.

    Raises:
        Unreachable: the chain answers with something that is no such event.
    """
    topic, members = load(contract).event(event)
    if not isinstance(entry, dict) or not isinstance(entry.get("topics"), list):
        raise Unreachable("chain answers with something that is not an event")
    topics = [as_bytes(item, WORD) for item in entry["topics"]]
    names = [member["name"] for member in sorted(members, key=lambda member: not member["indexed"])]
    indexed = [str(member["type"]) for member in members if member["indexed"]]
    plain = [str(member["type"]) for member in members if not member["indexed"]]
    if len(topics) != 1 + len(indexed) or topics[0] != topic:
        raise Unreachable(f"chain answers with another event than {event}")
    try:
        values = *decode(indexed, b"".join(topics[1:])), *decode(plain, as_bytes(entry.get("data")))
    except FormatError as error:
        raise Unreachable(f"chain answers with an event {event} of another shape: {error}") from error
    return {**dict(zip(names, values, strict=True)), "block": as_int(entry.get("blockNumber"))}


def deploy(
    url: str, key: SigningKey, terms: Terms, outbox: Path, *, instant: bool, rule: str | None = None
) -> Deployment:
    """Put the contracts on a chain and tell each where the others are. Begun again, it goes on where it stopped.

    Args:
        url: JSON-RPC endpoint.
        key: of the account that pays, and that has no power over the contracts afterwards.
        terms: their parameters.
        outbox: folder for what is sent.
        instant: the chain mines at once.
        rule: when a block counts (`settle.finality`); by default as on an embedded chain if it is ``instant``.

    Raises:
        Unreachable: the chain does not answer.
        Reverted: a contract was wired by somebody else.
    """
    rpc, rule = Rpc(url, PATIENCE), rule or (SEALED if instant else FINALIZED)
    chain_id = rpc.number("eth_chainId")
    sender = Sender(rpc, chain_id, key, outbox, finality(rpc, rule), instant=instant)
    contracts: dict[str, Address] = {}
    for name in CONTRACTS:
        artefact = load(name)
        arguments = encode(artefact.constructor(), terms.arguments()[name])
        contracts[name] = _created(sender.send(f"deploy-{name}", Call(None, artefact.bytecode + arguments, 0)))
    at = contracts
    for name, others in (
        ("vault", (at["ledger"], at["registry"], at["cases"])),
        ("registry", (at["ledger"], at["vault"])),
        ("cases", (at["ledger"], at["registry"], at["vault"])),
        ("settlement", (at["ledger"],)),
    ):
        sender.send(f"wire-{name}", Call(at[name], encode_call(name, "wire", *others), 0))
    return Deployment(chain_id, contracts, rule)


def other_code(rpc: Rpc, deployment: Deployment) -> list[str]:
    """Names of the contracts whose code on chain is not the one that ships with this package."""
    found = {name: keccak256(rpc.bytes("eth_getCode", at, "latest")) for name, at in deployment.contracts.items()}
    return [name for name in CONTRACTS if found[name] != code_hashes()[name]]


def other_wiring(rpc: Rpc, deployment: Deployment) -> list[str]:
    """Names of the contracts that take their orders from somebody else than the other contracts."""
    at = deployment.contracts
    told = {
        (name, other): address_in(rpc.word("eth_getStorageAt", at[name], hex(place), "latest"))
        for name, others in WIRING.items()
        for other, place in others.items()
    }
    return [name for name in WIRING if any(told[name, other] != at[other] for other in WIRING[name])]


def require_genuine(rpc: Rpc, deployment: Deployment) -> None:
    """Check that the contracts are those that ship with this package, and obey each other and nobody else.

    Raises:
        Refuted: they are not.
        Unreachable: the chain does not answer.
    """
    if foreign := other_code(rpc, deployment):
        raise Refuted(f"{' and '.join(foreign)} on this chain have other code than this package ships")
    if foreign := other_wiring(rpc, deployment):
        raise Refuted(f"{' and '.join(foreign)} on this chain obey somebody else than the other contracts")


def _created(receipt: Receipt) -> Address:
    return Address("0x" + as_bytes(receipt.get("contractAddress"), 20).hex())
