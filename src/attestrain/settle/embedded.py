"""The embedded chain: an anvil of one's own on the loopback, whose state is on disk before anything rests on it.

anvil mines only when it is told to, and only we tell it. A turn mines what is waiting, writes the whole state durably,
and then *seals* it: the next block, which is empty, is mined only after that write. So whoever sees a block that stands
on one with transactions knows that those are on disk (`settle.finality`, "sealed"). Whatever is killed, the next start
loads the last written state: every block up to it has the same hash, and what came after is sent again by whoever sent
it. It is one operator's chain: what rests on it reads ``local``.
"""

from __future__ import annotations

import queue
import threading
import time
import zlib
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from attestrain.errors import AttestrainError, FormatError, Unreachable
from attestrain.record.names import Address
from attestrain.settle.anvil import find_anvil
from attestrain.settle.host import Host
from attestrain.settle.rpc import Rpc, as_int
from attestrain.store.atomic import write_atomic

CHAIN_ID = 31_337
"""The id that everybody's development chains have: no wallet takes it for a chain that matters."""
FAUCET = Address("0x00000000000000000000000000000000c0ffee00")
"""Where coins come from: an account without a key, for which anvil signs. It holds what it needs from the first block.
Coins set later, as anvil allows, would belong to no block: the latest one would be proved by a state that it does not
commit to."""
PLENTY = 1 << 120
"""What the faucet holds, in wei: a million times all the coins that ever were, and still no overflow in sight."""
STATE = "state.json.gz"
LOADED = "loaded.json"
"""The state as anvil reads it; written again at every start."""
GIFT_GAS = 21_000
"""What it takes to send coins to an account."""
MAX_STATE = 1 << 30
"""Largest state read, in bytes: several hundred thousand blocks."""
BUSY, IDLE = 0.005, 0.2
"""Seconds between looks for transactions: within `RECENT` seconds of the last one, and otherwise."""
RECENT = 0.5
RETRY = 1.0
"""Seconds between attempts while the disk or anvil refuses."""


class EmbeddedChain:
    """A running chain. Use as a context, which ends it.

    Args:
        folder: where it lives; one process at a time.
        port: to listen on; any that is free by default.
        supervised: start anvil again by ourselves if it is killed, instead of waiting for `restart`.

    Raises:
        UsageError: the folder is in use, or anvil cannot be had here.
        Unreachable: it does not start.
    """

    def __init__(self, folder: Path, port: int = 0, *, supervised: bool = False) -> None:
        self._state = folder / STATE
        self._loaded = folder / LOADED
        self._supervised = supervised
        self._host = Host(find_anvil(), folder, port, CHAIN_ID)
        self.url = self._host.url
        self._rpc = Rpc(self.url)
        self._turn = threading.RLock()
        self._kick = threading.Event()
        self._closing = False
        self._unsaved = False
        self._starts: queue.SimpleQueue[Future[None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="embedded chain", daemon=True)
        self._thread.start()
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._host.port

    @property
    def pid(self) -> int:
        """Process id of anvil."""
        return self._host.pid

    def alive(self) -> bool:
        """Whether anvil still runs."""
        return self._host.exit is None

    @property
    def exit(self) -> int | None:
        """Exit status of anvil; None while it runs."""
        return self._host.exit

    def restart(self) -> None:
        """Start anvil again on the same port, if it was killed, from the last durable state.

        Raises:
            Unreachable: it does not start, or this is a fork of the process that it belongs to.
        """
        if not self.alive():
            self._start()

    def _start(self) -> None:
        """Have the thread start it: the kernel ends anvil with the thread that started it, not with our process."""
        if not self._host.ours or not self._thread.is_alive():
            raise Unreachable("the embedded chain belongs to another process, or is closed")
        done: Future[None] = Future()
        self._starts.put(done)
        self._kick.set()
        done.result()

    def nudge(self) -> None:
        """Say that something was sent, so that nobody has to look for it."""
        self._kick.set()

    def height(self) -> int:
        """Number of the latest block."""
        return self._rpc.number("eth_blockNumber")

    def finalise(self) -> int:
        """Have everything that was sent so far mined and made durable. Returns the height up to which it is.

        Raises:
            Unreachable: anvil does not answer, or the disk refuses.
        """
        with self._turn:
            self._take_turn()
            return self.height() - 1

    def fund(self, address: Address, amount: int) -> None:
        """Give an account what it lacks of ``amount`` wei, durably."""
        with self._turn:
            lacking = amount - self._rpc.number("eth_getBalance", address, "latest")
            if lacking > 0:
                gift = {"from": FAUCET, "to": address, "value": hex(lacking), "gas": hex(GIFT_GAS)}
                self._rpc.ask_once("anvil_impersonateAccount", FAUCET)
                self._rpc.ask_once("eth_sendTransaction", gift)
                self._rpc.ask_once("anvil_stopImpersonatingAccount", FAUCET)
                self._mine_durably()

    def mine(self, blocks: int = 1) -> None:
        """Mine blocks, each durable before the next."""
        with self._turn:
            for _ in range(blocks):
                self._mine_durably()

    def close(self) -> None:
        """End it, durably; in a fork of the process that started it this does nothing."""
        if self._host.ours and not self._closing:
            self._closing = True
            self._kick.set()
            self._thread.join()
            self._host.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self) -> None:
        """Start anvil from the last durable state, and make the state that it stands on known to be so."""
        known = self._state.is_file()
        if known:
            self._loaded.write_bytes(_unpack(self._state.read_bytes()))
        self._host.start(self._loaded if known else None)
        self._set_clock()
        self._unsaved = False
        if not known:
            self._rpc.ask_once("anvil_setBalance", FAUCET, hex(PLENTY))
            self._write()
        # Two blocks on top, so that the rule of finality finds the loaded one, whose state is the oldest we have.
        self._mine_durably()

    def _set_clock(self) -> None:
        """The machine's time from here on, which is not that of the first block, but never back."""
        latest = self._rpc.object("eth_getBlockByNumber", "latest", False) or {}
        now = max(int(time.time()), as_int(latest.get("timestamp")))
        self._rpc.ask_once("evm_setTime", hex(now))

    def _serve(self) -> None:
        """Take turns, as often as there is something to mine, until closed."""
        busy = 0.0
        while not self._closing:
            self._kick.wait(BUSY if time.monotonic() < busy else IDLE)
            self._kick.clear()
            try:
                with self._turn:
                    self._begin_where_asked()
                    if self.alive() and self._take_turn():
                        busy = time.monotonic() + RECENT
            except AttestrainError:
                # The disk is full, or anvil was killed this moment: nothing becomes final until that is over.
                time.sleep(RETRY if self.alive() else IDLE)
        with self._turn, suppress(AttestrainError):  # what is not durable was never called final
            if self.alive():
                self._take_turn()

    def _begin_where_asked(self) -> None:
        asked = []
        while not self._starts.empty():
            asked.append(self._starts.get())
        if self.alive() or not (asked or self._supervised):
            outcome: Exception | None = None
        else:
            outcome = self._tried()
        for done in asked:
            done.set_exception(outcome) if outcome else done.set_result(None)

    def _tried(self) -> Exception | None:
        try:
            self._begin()
        except Exception as error:  # whatever it is belongs to whoever asked
            return error
        return None

    def _take_turn(self) -> bool:
        """Mine what waits, make it durable, seal it; whether there was anything."""
        took = False
        while self._unsaved or self._waiting():
            if not self._unsaved and not self._mine():
                # None of what waits can be mined, and whoever sent it sends it again: do not mine for ever.
                self._rpc.ask_once("anvil_dropAllTransactions")
            self._seal()
            took = True
        return took

    def _waiting(self) -> bool:
        status = self._rpc.ask_once("txpool_status")
        return as_int(status.get("pending") if isinstance(status, dict) else None) > 0

    def _mine_durably(self) -> None:
        if self._unsaved:
            self._seal()
        self._mine()
        self._seal()

    def _seal(self) -> None:
        """Write the state, then mine the block that says so; again if a transaction slipped into that one."""
        self._write()
        while self._mine():
            self._write()
        self._unsaved = False  # an empty block may be lost: nothing was called final because of what is in it

    def _mine(self) -> bool:
        """Mine a block; whether it holds transactions. Nothing may be mined on top before it is written."""
        self._unsaved = True
        self._rpc.ask_once("evm_mine")
        return as_int(self._rpc.ask_once("eth_getBlockTransactionCountByNumber", "latest")) > 0

    def _write(self) -> None:
        try:
            write_atomic(self._state, self._rpc.bytes("anvil_dumpState"))
        except OSError as error:
            raise Unreachable(f"the embedded chain cannot be written to {self._state}: {error.strerror}") from error
        self._unsaved = False


def _unpack(data: bytes) -> bytes:
    reader = zlib.decompressobj(wbits=31)  # gzip
    try:
        state = reader.decompress(data, MAX_STATE)
    except zlib.error as error:
        raise FormatError(f"the embedded chain's state is damaged: {error}") from error
    if not reader.eof:
        raise FormatError(f"the embedded chain's state is damaged, or larger than {MAX_STATE} bytes")
    return state
