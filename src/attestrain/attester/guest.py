"""A TDX guest on hardware, without dstack: measures into RTMR3 and quotes through the kernel.

Written from the kernel's documentation and tested against a stand-in of its files; it has never run on hardware.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attestrain.appraise.intel.quote import Quote
from attestrain.attester import configfs, registers
from attestrain.errors import UsageError
from attestrain.record.digest import Digest
from attestrain.record.evidence import Collateral, Event, Evidence, replay

REGISTER = 3
"""The register of ours: what nothing else in the guest may extend."""


class TdxGuest:
    """The guest that this process runs in.

    Args:
        collateral: what judges its quotes, fetched for its platform when it starts.
        reports: the kernel's folder for requests.
        measurements: the kernel's folder of registers.
    """

    def __init__(
        self, collateral: Collateral, reports: Path = configfs.ROOT, measurements: Path = registers.ROOT
    ) -> None:
        self._collateral = collateral
        self._reports = reports
        self._measurements = measurements

    def evidence(self, report_data: bytes, events: Sequence[Event], block_number: int, block_hash: Digest) -> Evidence:
        """Evidence of having measured ``events``, as `attester.machine.Machine` has it.

        A process that is started again finds in the register what it measured before.

        Raises:
            UsageError: RTMR3 holds something else, or this is no TDX guest.
            Unreachable: the kernel or the quoting service of the host does not answer.
            Refused: the quote is malformed.
        """
        for event in events[self._measured(events) :]:
            registers.extend_register(REGISTER, event.digest, self._measurements)
        quote = configfs.request_report(report_data, configfs.TDX, self._reports).outblob
        self._check(Quote.from_bytes(quote), report_data, events)
        return Evidence(quote, self._collateral, tuple(events), block_number, block_hash)

    def _measured(self, events: Sequence[Event]) -> int:
        """How many of ``events``, from the first one on, RTMR3 holds already."""
        held = registers.read_register(REGISTER, self._measurements)
        for count in range(len(events) + 1):
            if replay(events[:count]) == held:
                return count
        hint = "start the guest anew, with nothing else in it that extends RTMR3"
        raise UsageError(f"RTMR3 holds something else: {held.hex()}", hint=hint)

    @staticmethod
    def _check(quote: Quote, report_data: bytes, events: Sequence[Event]) -> None:
        """What leaves this machine is about this request: somebody may have extended RTMR3 in the meantime."""
        if quote.field("report_data") != report_data:
            raise UsageError("the kernel's quote is not of the report data that were asked for")
        if quote.field("rtmr3") != replay(events):
            raise UsageError("something extended RTMR3 between measuring and quoting", hint="start the guest anew")
