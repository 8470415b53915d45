"""Calling the contracts: arguments to bytes and back, and putting them on a chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attestrain.record.chain import CONTRACTS
from attestrain.record.keys import SigningKey
from attestrain.record.names import Address
from attestrain.settle.artefacts import load
from attestrain.settle.deployment import Deployment
from attestrain.settle.rpc import Rpc, as_bytes
from attestrain.settle.sender import Receipt, Sender


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
    """Call data."""
    from eth_abi.abi import encode

    selector, types, _ = load(contract).function(function)
    return selector + encode(types, arguments)


def decode_result(contract: str, function: str, data: bytes) -> tuple[Any, ...]:
    """Results of a call."""
    from eth_abi.abi import decode

    return decode(load(contract).function(function)[2], data)


def decode_event(contract: str, event: str, entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """Members of a log entry by name; None if it is another event's."""
    from eth_abi.abi import decode

    topic, members = load(contract).event(event)
    topics = [as_bytes(item, 32) for item in entry["topics"]]
    if not topics or topics[0] != topic:
        return None
    plain = [member for member in members if not member["indexed"]]
    values = dict(
        zip((m["name"] for m in plain), decode([m["type"] for m in plain], as_bytes(entry["data"])), strict=True)
    )
    indexed = (member for member in members if member["indexed"])
    for member, value in zip(indexed, topics[1:], strict=True):
        values[member["name"]] = decode([member["type"]], value)[0]
    return values


def deploy(url: str, key: SigningKey, terms: Terms, journal: Path, *, instant: bool) -> Deployment:
    """Put the contracts on a chain and tell each where the others are. Begun again, it goes on where it stopped.

    Raises:
        Unreachable: the chain does not answer.
        Reverted: a contract was wired by somebody else.
    """
    from eth_abi.abi import encode

    rpc = Rpc(url)
    chain_id = rpc.number("eth_chainId")
    sender = Sender(rpc, chain_id, key, journal, instant=instant)
    contracts: dict[str, Address] = {}
    for name in CONTRACTS:
        artefact = load(name)
        arguments = encode(artefact.constructor(), terms.arguments()[name])
        contracts[name] = _created(sender.send(f"deploy-{name}", None, artefact.bytecode + arguments))
    at = contracts
    for name, others in (
        ("vault", (at["ledger"], at["registry"], at["cases"])),
        ("registry", (at["ledger"], at["vault"])),
        ("cases", (at["ledger"], at["registry"], at["vault"])),
        ("settlement", (at["ledger"],)),
    ):
        sender.send(f"wire-{name}", at[name], encode_call(name, "wire", *others))
    return Deployment(chain_id, contracts)


def _created(receipt: Receipt) -> Address:
    return Address("0x" + as_bytes(receipt.get("contractAddress"), 20).hex())
