"""When a block counts: by the rule of the chain it is on.

On the embedded chain ("sealed") a block that holds anything is followed by another only once it is on disk
(`settle.embedded`), so whoever sees a successor knows. Elsewhere a block counts when the chain calls it finalized, or
when enough others stand on it.
"""

from __future__ import annotations

import re
from typing import Protocol

from attestrain.errors import FormatError, Unreachable
from attestrain.settle.rpc import Rpc, as_int

SEALED, FINALIZED = "sealed", "finalized"
"""Rules with a name; the others are numbers of confirmations, as text."""
MAX_CONFIRMATIONS = 9_999
"""Most confirmations that a deployment may ask: more than a day on any chain that has a use for them."""
_COUNT = re.compile(r"(0|[1-9][0-9]{0,3})\Z")


class Finality(Protocol):
    """A rule applied to a chain."""

    def height(self) -> int:
        """The latest block that counts."""
        ...

    def settled(self, height: int) -> bool:
        """Whether what stands in block ``height`` counts."""
        ...


def parse_rule(text: str) -> str:
    """Check the text of a rule.

    Raises:
        FormatError: not one.
    """
    if text not in (SEALED, FINALIZED) and not _COUNT.match(text):
        raise FormatError(f"not a rule of finality: {text[:40]!r}")
    return text


def finality(rpc: Rpc, rule: str) -> Finality:
    """The rule of that text on a chain.

    Raises:
        FormatError: not a rule.
    """
    parse_rule(rule)
    if rule == SEALED:
        return _Sealed(rpc)
    return _Tagged(rpc) if rule == FINALIZED else _Confirmed(rpc, int(rule))


class _Sealed:
    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def height(self) -> int:
        # An empty block is on disk only together with the next one that is not, so it needs two above it.
        head = self._rpc.number("eth_blockNumber")
        below = max(head - 1, 0)
        held = as_int(self._rpc.ask("eth_getBlockTransactionCountByNumber", hex(below)))
        return below if held else max(head - 2, 0)

    def settled(self, height: int) -> bool:
        return self._rpc.number("eth_blockNumber") > height


class _Tagged:
    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def height(self) -> int:
        block = self._rpc.object("eth_getBlockByNumber", FINALIZED, False)
        if block is None:
            raise Unreachable("chain has no finalized block")
        return as_int(block.get("number"))

    def settled(self, height: int) -> bool:
        return self.height() >= height


class _Confirmed:
    def __init__(self, rpc: Rpc, blocks: int) -> None:
        self._rpc = rpc
        self._blocks = blocks

    def height(self) -> int:
        return max(self._rpc.number("eth_blockNumber") - self._blocks, 0)

    def settled(self, height: int) -> bool:
        return self._rpc.number("eth_blockNumber") >= height + self._blocks
