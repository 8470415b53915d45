"""Deployments that are not what they seem: right code, wrong masters."""

from __future__ import annotations

from pathlib import Path

import pytest

from attestrain.errors import Refuted
from attestrain.record.chain import CONTRACTS
from attestrain.record.names import Address
from attestrain.settle.abi import encode
from attestrain.settle.artefacts import load
from attestrain.settle.client import ChainClient
from attestrain.settle.contracts import encode_call, other_code, other_wiring
from attestrain.settle.deployment import Deployment
from attestrain.settle.overview import look
from attestrain.settle.rpc import Reverted
from attestrain.settle.transactions import Call
from attestrain.verify.checks import Contradiction
from tests.unit.chain_world import COIN, STAKE, TERMS, Player, World, proved


def deploy_for(world: World, thief: Player) -> Deployment:
    """Contracts that ship with the package, except that the vault is told that its thief is the court."""
    at: dict[str, Address] = {}
    for name in CONTRACTS:
        code = load(name).bytecode + encode(load(name).constructor(), TERMS.arguments()[name])
        at[name] = Address(str(thief.sender.send(f"deploy-{name}", Call(None, code, 0))["contractAddress"]))
    for name, others in (
        ("vault", (at["ledger"], at["registry"], thief.key.address)),
        ("registry", (at["ledger"], at["vault"])),
        ("cases", (at["ledger"], at["registry"], at["vault"])),
        ("settlement", (at["ledger"],)),
    ):
        thief.sender.send(f"wire-{name}", Call(at[name], encode_call(name, "wire", *others), 0))
    return Deployment(world.deployment.chain_id, at, world.deployment.finality)


def test_a_vault_that_obeys_a_stranger_is_found_out_by_everybody(world: World, tmp_path: Path):
    thief, victim = world.player(), world.player()
    trap = deploy_for(world, thief)
    assert (other_code(world.rpc, trap), other_wiring(world.rpc, trap)) == ([], ["vault"])
    assert look(world.chain.url, trap, None).miswired == ("vault",)

    client = ChainClient(world.chain.url, trap, victim.key, tmp_path / "victim", embedded=True)
    with pytest.raises(Refuted, match="vault on this chain obey somebody else"):
        client.deposit(STAKE)
    assert client.balance(victim.key.address) == 1_000 * COIN

    run = world.run_id()
    client.open_run(run, STAKE, STAKE, world.now() + 1000, [])
    with pytest.raises(Contradiction, match=f"the vault takes {thief.key.address} for the cases"):
        proved(client, run)


def test_contracts_are_told_once_and_only_by_who_deployed_them(world: World):
    at, stranger = world.deployment.contracts, world.player()
    with pytest.raises(Reverted, match="NotDeployer"):
        stranger.send("vault", "wire", at["ledger"], at["registry"], stranger.key.address)
