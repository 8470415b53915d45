"""The verdict: VERIFIED, CONSISTENT, UNDECIDED or REFUTED, with everything it rests on (spec/verdict.md)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

from attestrain.errors import ExitCode
from attestrain.record.canonical import Json
from attestrain.record.names import RunId
from attestrain.verify.checks import Check, Status
from attestrain.verify.guarantees import Achieved, Unmet
from attestrain.verify.workers import WorkerReport

FORMAT = "attestrain.dev/verdict@v1"


class Outcome(StrEnum):
    """The four verdicts of DESIGN section 6."""

    VERIFIED = "VERIFIED"
    CONSISTENT = "CONSISTENT"
    UNDECIDED = "UNDECIDED"
    REFUTED = "REFUTED"


EXIT_CODES = {
    Outcome.VERIFIED: ExitCode.DONE,
    Outcome.CONSISTENT: ExitCode.CONSISTENT,
    Outcome.UNDECIDED: ExitCode.UNDECIDED,
    Outcome.REFUTED: ExitCode.REFUTED,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict.

    Attributes:
        outcome: which of the four.
        run: name of the run, if the spec could be read.
        checks: every check, in the order of the claims.
        achieved: guarantees of the run.
        self_asserted: those of them that rest on something no policy pins.
        unmet: guarantees that the policy asks for and did not get.
        workers: every worker, with its worker-rounds.
    """

    outcome: Outcome
    run: RunId | None
    checks: tuple[Check, ...]
    achieved: tuple[Achieved, ...]
    self_asserted: tuple[str, ...]
    unmet: tuple[Unmet, ...]
    workers: tuple[WorkerReport, ...]

    @property
    def exit_code(self) -> ExitCode:
        """Exit code of `attestrain verify`."""
        return EXIT_CODES[self.outcome]

    @property
    def failed_claims(self) -> tuple[int, ...]:
        """Numbers of the claims that are contradicted, ascending."""
        return tuple(sorted({check.claim for check in self.checks if check.status is Status.FAIL}))

    def to_json(self) -> Json:
        """The document that `attestrain verify --json` prints."""
        return {
            "format": FORMAT,
            "verdict": str(self.outcome),
            "exit_code": int(self.exit_code),
            "run": None if self.run is None else self.run.hex(),
            "failed_claims": list(self.failed_claims),
            "checks": [asdict(check) | {"status": str(check.status)} for check in self.checks],
            "achieved": [asdict(item) for item in self.achieved],
            "self_asserted": list(self.self_asserted),
            "unmet": [asdict(item) for item in self.unmet],
            "workers": [asdict(worker) for worker in self.workers],
        }


def decide(checks: tuple[Check, ...], *, pinned: bool, unmet: tuple[Unmet, ...]) -> Outcome:
    """The verdict that follows.

    Args:
        checks: every check made.
        pinned: whether there was a policy.
        unmet: what it asked for and did not get.
    """
    if any(check.status is Status.FAIL for check in checks):
        return Outcome.REFUTED
    if any(check.missing for check in checks):
        return Outcome.UNDECIDED
    return Outcome.VERIFIED if pinned and not unmet else Outcome.CONSISTENT
