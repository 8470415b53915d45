"""A beacon captured late is the same; one that the chain has forgotten is counted and replaced."""

from __future__ import annotations

from pathlib import Path

from attestrain.record.digest import sha256
from attestrain.record.names import Round
from attestrain.rules import accumulator
from attestrain.settle.embedded import EmbeddedChain
from tests.unit.chain_world import STAKE, deployed, proved

HISTORY = "0x0000f90827f1c53a10cb7a02335b175320002935"
"""The history contract of EIP-2935; a chain of the Cancun rules has none."""
FORGOTTEN = 300
"""More blocks than the BLOCKHASH instruction reaches back."""


def test_a_late_capture_gives_the_block_that_was_fixed_and_a_forgotten_one_is_missed(anvil: Path, tmp_path: Path):
    with EmbeddedChain(tmp_path / "chain") as chain:
        world = deployed(chain, tmp_path)
        sequencer, run = world.player(), world.run_id()
        client = sequencer.client
        client.open_run(run, STAKE, STAKE, world.now() + 10**6, [])
        fixed = client.run_state(run).pending_height
        world.rpc.ask("anvil_mine", hex(FORGOTTEN))
        first = client.capture(run)
        assert first.number == fixed
        assert client.run_state(run).missed == 0

        client.anchor(run, Round(1), sha256(b"root"), 7, sha256(b"base"), last=False)
        fixed = client.run_state(run).pending_height
        world.rpc.ask("anvil_setCode", HISTORY, "0x")
        world.rpc.ask("anvil_mine", hex(FORGOTTEN))
        second = client.capture(run)
        words = proved(client, run).run(run)
        assert words.missed == 1
        assert second.number > fixed + FORGOTTEN
        word = accumulator.captured(accumulator.opened(run, sequencer.key.address), first.number, first.hash)
        word = accumulator.anchored(word, 1, sha256(b"root"), 7, sha256(b"base"))
        assert words.accumulator == accumulator.captured(word, second.number, second.hash)
