from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from attestrain.errors import Unreachable, UsageError
from attestrain.record.digest import ZERO_DIGEST
from attestrain.settle import rpc as rpc_module
from attestrain.settle.canonical import confirm, require_pin
from attestrain.verify.checks import Check, Status
from attestrain.verify.policy import ChainPin, Policy
from attestrain.verify.verdict import Outcome, Verdict
from attestrain.verify.verifier import verify
from tests.attacks.world import honest_world
from tests.unit.node_world import Node, block, pin, running


@pytest.fixture
def node() -> Iterator[Node]:
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def judged() -> tuple[Verdict, Policy]:
    files, policy = honest_world()
    return verify(files, policy), policy


def ask(judged: tuple[Verdict, Policy], node: Node, pinned: ChainPin) -> tuple[Verdict, Check]:
    verdict, policy = judged
    told = confirm(verdict, replace(policy, pins=replace(policy.pins, chain=pinned)), node.url)
    (check,) = [check for check in told.checks if check.name == "canonical"]
    assert check.claim == 2
    return told, check


def test_a_final_block_of_the_chain_leaves_the_verdict(judged: tuple[Verdict, Policy], node: Node) -> None:
    told, check = ask(judged, node, pin(150))
    assert (check.status, check.detail) == (Status.PASS, "block 150 is the chain's own, its finalized block is 150")
    assert replace(told, checks=judged[0].checks) == judged[0]
    assert [item.claim for item in told.checks] == sorted(item.claim for item in told.checks)


def test_a_block_that_the_chain_does_not_have_refutes(judged: tuple[Verdict, Policy], node: Node) -> None:
    told, check = ask(judged, node, replace(pin(100), block=ZERO_DIGEST))
    assert (told.outcome, told.failed_claims, check.status) == (Outcome.REFUTED, (2,), Status.FAIL)
    assert "not the pinned 0000" in check.detail
    assert (told.achieved, {item.name for item in told.unmet}) == ((), set(judged[1].guarantees))
    assert not any("signed" in round_.achieved for worker in told.workers for round_ in worker.rounds)


def test_a_block_that_may_still_be_lost_refutes(judged: tuple[Verdict, Policy], node: Node) -> None:
    told, check = ask(judged, node, pin(151))
    assert told.outcome is Outcome.REFUTED
    assert check.detail == "the pinned block 151 is beyond the chain's finalized block 150"


@pytest.mark.parametrize("none", [ValueError("unknown block"), None])
def test_a_chain_without_finality_is_asked_for_its_latest_block(
    judged: tuple[Verdict, Policy], node: Node, none: object
) -> None:
    node.blocks["finalized"] = none
    assert ask(judged, node, pin(200))[1].detail.endswith("its latest block is 200")
    assert ask(judged, node, pin(201))[1].status is Status.FAIL


def test_the_chain_of_one_machine_has_a_finality_of_its_own(judged: tuple[Verdict, Policy], node: Node) -> None:
    assert ask(judged, node, pin(199, local=True))[1].status is Status.PASS


def test_a_node_of_another_chain_is_no_witness(judged: tuple[Verdict, Policy], node: Node) -> None:
    with pytest.raises(UsageError, match="the endpoint is of chain 1, the policy pins chain 10"):
        ask(judged, node, pin(100, chain_id=10))


@pytest.mark.parametrize("policy", [None, Policy()])
def test_without_a_pinned_block_there_is_nothing_to_ask(policy: Policy | None) -> None:
    with pytest.raises(UsageError, match="the block that a policy pins"):
        require_pin(policy)


@pytest.mark.parametrize(
    "said",
    [
        None,
        "block",
        [],
        {},
        block(99),
        {**block(100), "hash": "0x00"},
        {**block(100), "number": 100},
        ValueError("execution reverted"),
        ValueError("too many requests"),
        {**block(100), "extra": "0" * 5000},
    ],
)
def test_a_node_that_answers_nonsense_decides_nothing(
    judged: tuple[Verdict, Policy], node: Node, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc_module, "MAX_ANSWER", 4096)
    node.blocks[hex(100)] = said
    with pytest.raises(Unreachable):
        ask(judged, node, pin(100))


@pytest.mark.parametrize("which", ["chain", "latest"])
def test_a_node_that_reverts_a_reading_is_unreachable(judged: tuple[Verdict, Policy], node: Node, which: str) -> None:
    if which == "chain":
        node.chain_id = ValueError("execution reverted")
    else:
        node.blocks["latest"] = ValueError("execution reverted")
    with pytest.raises(Unreachable):
        ask(judged, node, pin(100, local=True))
