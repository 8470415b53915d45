"""What all pieces of evidence together show: one verdict over files that were judged one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attestrain.appraise.attestation import HARDWARE, SIMULATED, Attestation
from attestrain.appraise.platforms import vendor_of
from attestrain.appraise.policy import EvidencePolicy, check_together, gpu_of
from attestrain.appraise.signatures import shown as shown_time
from attestrain.errors import AttestrainError, ExitCode, PolicyNotMet
from attestrain.record.canonical import Json

NONE = "none"
VERDICTS = {
    ExitCode.DONE: "VERIFIED",
    ExitCode.CONSISTENT: "CONSISTENT",
    ExitCode.UNDECIDED: "UNDECIDED",
    ExitCode.REFUTED: "REFUTED",
}
"""Words of a verdict by exit code, the better first: of several pieces the worst counts."""
_ORDER = tuple(VERDICTS)


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one file.

    Attributes:
        name: of the file.
        shown: what its evidence shows; None if it was not taken.
        error: why it was not.
    """

    name: str
    shown: Attestation | None = None
    error: AttestrainError | None = None

    @property
    def code(self) -> ExitCode:
        """The exit code that this file alone gives."""
        return ExitCode.DONE if self.error is None else self.error.exit_code

    def to_json(self) -> Json:
        """For programs."""
        document: Json = {"file": self.name, "verdict": VERDICTS[self.code]}
        if self.error is not None:
            document["reason"] = str(self.error)
        if (shown := self.shown) is not None:
            document |= {
                "format": shown.format,
                "assurance": shown.assurance,
                "vendor": vendor_of(shown),
                "root": shown.root.hex(),
                "platform": shown.platform,
                "signed": shown.signed.hex(),
                "report_data": shown.report_data.hex(),
                "tcb": shown.tcb,
                "measurements": {name: value.hex() for name, value in shown.measurements.items()},
                "proven": list(shown.proven),
                "unchecked": list(shown.unchecked),
            }
        return document


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The verdict over all files.

    Attributes:
        findings: what came of each.
        at: when the evidence was judged, in seconds since 1970.
        unmet: what the policy asks of all pieces together and they do not give; empty if nothing.
    """

    findings: tuple[Finding, ...]
    at: int
    unmet: str = ""

    @property
    def code(self) -> ExitCode:
        """The worst of all."""
        codes = [finding.code for finding in self.findings]
        return max([*codes, ExitCode.CONSISTENT if self.unmet else ExitCode.DONE], key=_ORDER.index)

    @property
    def word(self) -> str:
        """VERIFIED, CONSISTENT, UNDECIDED or REFUTED."""
        return VERDICTS[self.code]

    @property
    def assurance(self) -> str:
        """The weakest of all: ``none`` as soon as one was not taken."""
        kinds = {NONE if finding.shown is None else finding.shown.assurance for finding in self.findings}
        return next((kind for kind in (NONE, SIMULATED, HARDWARE) if kind in kinds), NONE)

    @property
    def gpu(self) -> str:
        """What is shown of GPUs: the weakest of `GPUS` among them, ``none`` without any."""
        return gpu_of([finding.shown for finding in self.findings if finding.shown is not None])

    def to_json(self) -> Json:
        """For programs."""
        vendors = sorted({vendor_of(finding.shown) for finding in self.findings if finding.shown is not None})
        document: Json = {"verdict": self.word, "at": shown_time(self.at), "assurance": self.assurance, "gpu": self.gpu}
        document |= {"vendors": vendors, "evidence": [finding.to_json() for finding in self.findings]}
        return document | ({"unmet": self.unmet} if self.unmet else {})


def conclude(findings: Sequence[Finding], policy: EvidencePolicy, at: int) -> Conclusion:
    """The verdict over ``findings``, held against what the policy asks of all of them together."""
    taken = [finding.shown for finding in findings if finding.shown is not None]
    if len(taken) < len(findings):  # what was not taken has a reason of its own
        return Conclusion(tuple(findings), at)
    try:
        check_together(taken, policy)
    except PolicyNotMet as error:
        return Conclusion(tuple(findings), at, str(error))
    return Conclusion(tuple(findings), at)
