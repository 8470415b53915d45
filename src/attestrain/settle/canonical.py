"""Whether the block that a policy pins is the chain's own: the one question of a verdict that only a node can answer.

Everything else a verdict proves from the pinned block's hash. A node that is asked here is believed, so it has to be
the asker's own; a verdict without one takes the pin for what its author says it is.
"""

from __future__ import annotations

from dataclasses import replace

from attestrain.errors import Unreachable, UsageError
from attestrain.record.digest import Digest
from attestrain.settle.finality import FINALIZED
from attestrain.settle.rpc import Refused, Reverted, Rpc, as_bytes, as_int
from attestrain.verify.checks import Check, Docket, require
from attestrain.verify.guarantees import LOCAL_CHAIN, Unmet
from attestrain.verify.policy import ChainPin, Policy
from attestrain.verify.verdict import Outcome, Verdict
from attestrain.verify.workers import WorkerReport

CLAIM, NAME = 2, "canonical"
LATEST = "latest"
_REASON = "the chain does not have the pinned block"


def require_pin(policy: Policy | None) -> ChainPin:
    """The block that a node can be asked about.

    Raises:
        UsageError: the policy pins none.
    """
    if policy is None or policy.pins.chain is None:
        hint = "give a policy with [pins.chain], see spec/policy.md"
        raise UsageError("a node can only be asked about the block that a policy pins", hint=hint)
    return policy.pins.chain


def confirm(verdict: Verdict, policy: Policy, url: str) -> Verdict:
    """A verdict after asking a node about the pinned block: REFUTED if the chain has another or has not got there.

    Args:
        verdict: as judged offline.
        policy: under which it was.
        url: the node's JSON-RPC.

    Raises:
        UsageError: the policy pins no block, or the node is of another chain.
        Unreachable: the node does not answer.
    """
    pin, rpc, docket = require_pin(policy), Rpc(url), Docket()
    _require_same_chain(rpc, pin)
    docket.hear(CLAIM, NAME, lambda: _check_block(rpc, pin))
    checks = _insert(verdict.checks, docket.checks[0])
    if docket.passed(CLAIM):
        return replace(verdict, checks=checks)
    return replace(
        verdict,
        outcome=Outcome.REFUTED,
        checks=checks,
        achieved=(),
        self_asserted=(),
        unmet=tuple(Unmet(name, _REASON) for name in policy.guarantees),
        workers=tuple(map(_unsigned, verdict.workers)),
    )


def _insert(checks: tuple[Check, ...], check: Check) -> tuple[Check, ...]:
    return tuple(sorted((*checks, check), key=lambda item: item.claim))


def _unsigned(worker: WorkerReport) -> WorkerReport:
    """Without the guarantee that a worker-round owes to claim 2."""
    rounds = (replace(item, achieved=tuple(n for n in item.achieved if n != "signed")) for item in worker.rounds)
    return replace(worker, rounds=tuple(rounds))


def _require_same_chain(rpc: Rpc, pin: ChainPin) -> None:
    try:
        found = rpc.number("eth_chainId")
    except Reverted as error:
        raise Unreachable(f"chain does not say which it is: {error}") from error
    if found != pin.id:
        hint = "a node of another chain says nothing about this block"
        raise UsageError(f"the endpoint is of chain {found}, the policy pins chain {pin.id}", hint=hint)


def _check_block(rpc: Rpc, pin: ChainPin) -> tuple[None, str]:
    """(2) The chain has the pinned block, and will not lose it."""
    tag, height = _height(rpc, local=pin.local or pin.id == LOCAL_CHAIN)
    require(pin.number <= height, f"the pinned block {pin.number} is beyond the chain's {tag} block {height}")
    found = _block(rpc, hex(pin.number))
    if found is None:
        raise Unreachable(f"chain does not know its block {pin.number}, although it is at {height}")
    number, block = found
    if number != pin.number:
        raise Unreachable(f"chain answers with block {number} where block {pin.number} belongs")
    require(block == pin.block, f"block {number} of the chain is {block.hex()}, not the pinned {pin.block.hex()}")
    return None, f"block {number} is the chain's own, its {tag} block is {height}"


def _height(rpc: Rpc, *, local: bool) -> tuple[str, int]:
    """The last final block, or the latest: one machine's chain has its own rule, others may not know finality."""
    if not local:
        try:
            final = _block(rpc, FINALIZED)
        except Refused:
            final = None
        if final is not None:
            return FINALIZED, final[0]
    latest = _block(rpc, LATEST)
    if latest is None:
        raise Unreachable("chain has no latest block")
    return LATEST, latest[0]


def _block(rpc: Rpc, which: str) -> tuple[int, Digest] | None:
    """Number and hash of a block; None if the chain has none such."""
    try:
        data = rpc.object("eth_getBlockByNumber", which, False)
    except Reverted as error:
        raise Unreachable(f"chain does not answer about its {which} block: {error}") from error
    return None if data is None else (as_int(data.get("number")), Digest(as_bytes(data.get("hash"), 32)))
