"""Sending transactions so that none is lost and none counts twice.

A signed transaction is on disk before it leaves. Whoever asks for it again, also after a crash, gets the receipt of the
one that was sent, or has those very bytes sent again. A new one takes its place only once its nonce belongs, for good,
to another. A receipt is handed on when its block counts (`settle.finality`).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from attestrain.errors import Unreachable, UsageError
from attestrain.record.keys import SigningKey
from attestrain.settle.finality import Finality
from attestrain.settle.outbox import MAX_ATTEMPTS, Outbox, Sent
from attestrain.settle.rpc import Refused, Reverted, Rpc, as_int
from attestrain.settle.transactions import Call, Fees, sign_transaction

PATIENCE = 900.0
"""Seconds to wait until a transaction counts."""
QUICK, SLOW = 0.01, 1.0
"""Seconds between looks for a receipt: on a chain that mines at once, and elsewhere."""
AGAIN = 25
"""Looks between sending the same bytes again: nodes forget, and an embedded chain that was killed has forgotten."""
DOUBT = 5
"""Looks between asking whether its nonce belongs to another by now."""
MARGIN = 1.25
"""Gas allowed over the estimate: storage may have been touched meanwhile."""
RAISE = 1.25
"""By how much a fee is raised that has become too low: nodes ask for an eighth at least."""
TIP = 10**9
"""Priority fee in wei where the chain names none: one gwei."""
DUST = 1 << 24
"""Wei by which the tip differs at random from one transaction to the next: a sixtieth of a gwei."""
ROUNDS = 8
"""How often something is signed anew because its nonce was taken: several processes may share an account."""
Receipt = dict[str, Any]


class Sender:
    """Sends for one account, for any number of threads, one thing after the other.

    Args:
        rpc: the chain.
        chain_id: signed into every transaction.
        key: the account's.
        outbox: folder for what was sent.
        finality: when a block counts.
        instant: the chain mines at once.
        nudge: called whenever something was sent.
    """

    def __init__(
        self,
        rpc: Rpc,
        chain_id: int,
        key: SigningKey,
        outbox: Path,
        finality: Finality,
        *,
        instant: bool,
        nudge: Callable[[], None] | None = None,
    ) -> None:
        self._rpc = rpc
        self._chain_id = chain_id
        self._key = key
        self._outbox = Outbox(outbox)
        self._finality = finality
        self._instant = instant
        self._nudge = nudge
        self._lock = threading.Lock()

    def send(self, label: str, call: Call, gas: int | None = None) -> Receipt:
        """The receipt of the transaction called ``label``, sent now unless it was before.

        Args:
            label: names it in the outbox.
            call: what it does.
            gas: that it may use; estimated by default, which also tells beforehand if the contract refuses.

        Raises:
            Reverted: the contract refuses.
            UsageError: the account cannot pay for it.
            Unreachable: the chain does not answer, or does not mine it.
        """
        with self._lock:
            for _ in range(ROUNDS):
                sent = self._outbox.find(label) or self._sign(label, call, gas)
                receipt = self._deliver(label, call, sent)
                if receipt is not None:
                    return self._checked(label, call, receipt)
                self._outbox.forget(label)
        raise Unreachable(f"{label}: the account's nonces are taken again and again by somebody else")

    def _sign(self, label: str, call: Call, gas: int | None) -> Sent:
        allowed = gas or int(self._rpc_or_poor("eth_estimateGas", self._request(call)) * MARGIN)
        nonce = self._rpc.number("eth_getTransactionCount", self._key.address, "pending")
        fees = self._fees()
        raw = sign_transaction(self._key, self._chain_id, nonce, call, allowed, fees)
        sent = Sent(nonce, allowed, fees.most, (raw,))
        self._outbox.keep(label, sent)
        return sent

    def _request(self, call: Call) -> dict[str, str]:
        request = {"from": self._key.address, "data": "0x" + call.data.hex(), "value": hex(call.value)}
        return request if call.to is None else {**request, "to": call.to}

    def _rpc_or_poor(self, method: str, *params: Any) -> int:
        try:
            return self._rpc.number(method, *params)
        except Refused as error:
            if "insufficient" in error.reason:
                raise self._poor() from error
            raise

    def _poor(self) -> UsageError:
        hint = "send it some of the chain's coins"
        return UsageError(f"account {self._key.address} cannot pay for a transaction", hint=hint)

    def _fees(self) -> Fees:
        """Twice the present base fee, so that it may double meanwhile."""
        base, tip = self._base_fee(), TIP
        if not self._instant:
            try:
                tip = self._rpc.number("eth_maxPriorityFeePerGas")
            except Refused:
                tip = TIP
        # Two processes of one account must never make the same bytes for two things: each would take the other's
        # receipt for its own.
        tip += secrets.randbelow(DUST)
        return Fees(2 * base + tip, tip)

    def _base_fee(self) -> int:
        latest = self._rpc.object("eth_getBlockByNumber", "latest", False) or {}
        return as_int(latest.get("baseFeePerGas", "0x0"))

    def _deliver(self, label: str, call: Call, sent: Sent) -> Receipt | None:
        """The receipt of whichever attempt counts; None if none of them ever will."""
        end, looks = time.monotonic() + PATIENCE, 0
        while time.monotonic() < end:
            receipt = self._receipt(sent)
            if receipt is not None:
                if self._counts(receipt, sent):
                    return receipt
            elif looks % AGAIN == 0:
                sent = self._broadcast(label, call, sent)
            elif looks % DOUBT == 0 and self._taken(sent):
                return None
            looks += 1
            time.sleep(QUICK if self._instant else SLOW)
        raise Unreachable(f"{label}: transaction 0x{sent.names[-1].hex()} does not count after {PATIENCE:.0f} s")

    def _receipt(self, sent: Sent) -> Receipt | None:
        for name in reversed(sent.names):
            if (found := self._rpc.object("eth_getTransactionReceipt", "0x" + name.hex())) is not None:
                return found
        return None

    def _counts(self, receipt: Receipt, sent: Sent) -> bool:
        if not self._finality.settled(as_int(receipt.get("blockNumber"))):
            return False
        # Looked up again: the block may have been replaced while we asked.
        again = self._receipt(sent)
        return again is not None and again.get("blockHash") == receipt.get("blockHash")

    def _taken(self, sent: Sent) -> bool:
        """Whether another transaction has the nonce, for good."""
        try:
            used = self._rpc.number("eth_getTransactionCount", self._key.address, hex(self._finality.height()))
        except Refused:  # a node that has just started may not have that state yet
            return False
        return used > sent.nonce and self._receipt(sent) is None

    def _broadcast(self, label: str, call: Call, sent: Sent) -> Sent:
        """Send the latest attempt again, at a higher fee if its own has become too low."""
        base = self._base_fee()
        if base > sent.most and len(sent.raws) < MAX_ATTEMPTS:
            fees = Fees(int(max(2 * base, sent.most * RAISE)) + TIP, TIP)
            raw = sign_transaction(self._key, self._chain_id, sent.nonce, call, sent.gas, fees)
            sent = sent.again(raw, fees.most)
            self._outbox.keep(label, sent)
        try:
            self._rpc.ask("eth_sendRawTransaction", "0x" + sent.raws[-1].hex())
        except Refused as error:
            # It may be known already, or its nonce taken: what became of it is seen by looking.
            if "insufficient" in error.reason:
                raise self._poor() from error
        if self._nudge is not None:
            self._nudge()
        return sent

    def _checked(self, label: str, call: Call, receipt: Receipt) -> Receipt:
        if as_int(receipt.get("status")) == 1:
            return receipt
        self._outbox.forget(label)  # asked for again, it is tried again
        with suppress(Unreachable):
            self._rpc.ask("eth_call", self._request(call), receipt.get("blockNumber"))  # says why it failed
        raise Reverted(f"{label}: transaction {str(receipt.get('transactionHash'))[:66]} failed")
