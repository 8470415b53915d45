"""Sending transactions so that none is lost and none counts twice.

A signed transaction is on disk before it leaves. Whoever asks for it again, also after a crash, gets the receipt of
the one that was sent, or sends those very bytes again; only if its nonce was taken by another does a new one take its
place.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from attestrain.errors import Refuted, Unreachable
from attestrain.record.eip712 import keccak256
from attestrain.record.keys import SigningKey
from attestrain.settle.rpc import Reverted, Rpc, as_int
from attestrain.store.atomic import write_atomic

PATIENCE = 600.0
"""Seconds to wait for a transaction to be mined."""
QUICK, SLOW = 0.01, 2.0
"""Seconds between looks for a receipt: on a chain that mines at once, and elsewhere."""
MARGIN = 1.25
"""Gas allowed over the estimate: storage may have been touched meanwhile."""
TIP = 10**9
"""Priority fee in wei: one gwei."""
Receipt = dict[str, Any]


class Sender:
    """Sends for one account.

    Args:
        rpc: the chain.
        chain_id: signed into every transaction.
        key: the account's.
        journal: folder for what was sent.
        instant: the chain mines at once.
    """

    def __init__(self, rpc: Rpc, chain_id: int, key: SigningKey, journal: Path, *, instant: bool) -> None:
        self._rpc = rpc
        self._chain_id = chain_id
        self._key = key
        self._journal = journal
        self._pause = QUICK if instant else SLOW

    def send(self, label: str, to: str | None, data: bytes, value: int = 0) -> Receipt:
        """The receipt of the transaction called ``label``, sent now unless it was before.

        Args:
            label: names it in the journal.
            to: the contract; None creates one.
            data: call data, or creation code and arguments.
            value: wei that goes along.

        Raises:
            Reverted: the contract refuses.
            Unreachable: the chain does not answer, or does not mine it.
        """
        path = self._journal / f"{label}.tx"
        raw = path.read_bytes() if path.is_file() else b""
        if raw and (receipt := self._again(raw)) is not None:
            return _checked(receipt)
        raw = self._sign(to, data, value)
        self._journal.mkdir(parents=True, exist_ok=True)
        write_atomic(path, raw)
        self._rpc.ask("eth_sendRawTransaction", "0x" + raw.hex())
        return _checked(self._wait(keccak256(raw)))

    def _again(self, raw: bytes) -> Receipt | None:
        """The receipt of a transaction that was sent before; None if it can never be mined."""
        digest = keccak256(raw)
        if (receipt := self._receipt(digest)) is not None:
            return receipt
        try:
            self._rpc.ask("eth_sendRawTransaction", "0x" + raw.hex())
        except (Unreachable, Refuted) as error:
            if "already" in str(error) or "known" in str(error):
                return self._wait(digest)
            return None
        return self._wait(digest)

    def _sign(self, to: str | None, data: bytes, value: int) -> bytes:
        from eth_account import Account
        from eth_utils.address import to_checksum_address

        account, call = self._key.address, "0x" + data.hex()
        request = {"from": account, "data": call, "value": hex(value), **({"to": to} if to else {})}
        gas = int(self._rpc.number("eth_estimateGas", request) * MARGIN)
        latest = self._rpc.object("eth_getBlockByNumber", "latest", False) or {}
        fields: dict[str, Any] = {
            "chainId": self._chain_id,
            "nonce": self._rpc.number("eth_getTransactionCount", account, "pending"),
            "gas": gas,
            "maxFeePerGas": 2 * as_int(latest.get("baseFeePerGas", "0x0")) + TIP,
            "maxPriorityFeePerGas": TIP,
            "value": value,
            "data": call,
            **({"to": to_checksum_address(to)} if to else {}),
        }
        return bytes(Account.sign_transaction(fields, self._key.to_bytes()).raw_transaction)

    def _receipt(self, digest: bytes) -> Receipt | None:
        return self._rpc.object("eth_getTransactionReceipt", "0x" + digest.hex())

    def _wait(self, digest: bytes) -> Receipt:
        end = time.monotonic() + PATIENCE
        while (receipt := self._receipt(digest)) is None:
            if time.monotonic() > end:
                raise Unreachable(f"transaction 0x{digest.hex()} is not mined after {PATIENCE:.0f} s")
            time.sleep(self._pause)
        return receipt


def _checked(receipt: Receipt) -> Receipt:
    if as_int(receipt.get("status")) != 1:
        raise Reverted(f"transaction {str(receipt.get('transactionHash'))[:66]} failed")
    return receipt
