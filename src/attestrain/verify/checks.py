"""Checks: what became of each claim, and how a claim's function says so.

A function that checks a claim returns what later claims build on, or raises: `Contradiction` where the bundle disagrees
with itself or with a pin, `Missing` where something needed is not there. `Docket` turns either into a recorded check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from attestrain.errors import FormatError, Refuted, Undecided, UsageError
from attestrain.rules.admission import Inadmissible

T = TypeVar("T")

CLAIMS: dict[int, str] = {
    0: "structure",
    1: "spec",
    2: "transcript",
    3: "keys",
    4: "receipts",
    5: "continuity",
    6: "assignment",
    7: "availability",
    8: "aggregation",
    9: "replays",
    10: "settlement",
    11: "model",
}
"""Short names of the claims; the package's page says what each one means."""

MAX_DETAIL = 500
"""Longest message of a check, in characters."""


class VerificationError(UsageError):
    """Input that cannot be judged at all, such as a path that is not a bundle. The one error that leaves `verify`."""


class Contradiction(Refuted):
    """A claim does not hold.

    Attributes:
        claim: its number, or None for the claim being checked.
    """

    def __init__(self, message: str, *, claim: int | None = None) -> None:
        super().__init__(message)
        self.claim = claim


class Missing(Undecided):
    """Something that a claim needs is not in the bundle."""


def printable(text: str) -> str:
    """``text`` as one line of printable ASCII: messages quote bytes from strangers and end up in terminals."""
    escaped = text.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(char if char.isprintable() else "?" for char in escaped)[:MAX_DETAIL]


def require(condition: bool, message: str) -> None:
    """Raise `Contradiction` unless ``condition`` holds."""
    if not condition:
        raise Contradiction(message)


class Status(StrEnum):
    """Outcome of one check."""

    PASS = "PASS"
    FAIL = "FAIL"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class Check:
    """One checked claim.

    Attributes:
        claim: its number.
        name: what was checked.
        status: how it ended.
        detail: figures, the contradiction, or why it was skipped.
        missing: it was skipped because something needed is not there, so that nothing can be decided.
    """

    claim: int
    name: str
    status: Status
    detail: str
    missing: bool = False


class Docket:
    """The checks of one verification, as they are made.

    Attributes:
        checks: in the order in which they were made.
    """

    def __init__(self) -> None:
        self.checks: list[Check] = []

    def hear(self, claim: int, name: str, work: Callable[[], tuple[T, str]]) -> T | None:
        """Check one claim.

        Args:
            claim: number of the claim.
            name: what is checked.
            work: returns what later claims build on and a line of figures, or raises.

        Returns:
            What ``work`` returned, or None if the claim failed or something was missing.
        """
        try:
            value, detail = work()
        except (Contradiction, Inadmissible) as error:
            broken = claim if error.claim is None else error.claim
            self.fail(broken, name if broken == claim else CLAIMS[broken], str(error))
        except FormatError as error:
            self.fail(claim, name, str(error))
        except Missing as error:
            self.skip(claim, name, str(error), missing=True)
        else:
            self.checks.append(Check(claim, name, Status.PASS, detail))
            return value
        return None

    def fail(self, claim: int, name: str, detail: str) -> None:
        """Record a contradiction."""
        self.checks.append(Check(claim, name, Status.FAIL, printable(detail)))

    def skip(self, claim: int, name: str, reason: str, *, missing: bool = False) -> None:
        """Record that a claim was not checked."""
        self.checks.append(Check(claim, name, Status.SKIPPED, printable(reason), missing))

    def skip_rest(self, reason: str) -> None:
        """Record every claim without a check as skipped."""
        heard = {check.claim for check in self.checks}
        for claim, name in CLAIMS.items():
            if claim not in heard:
                self.skip(claim, name, reason)

    def passed(self, *claims: int) -> bool:
        """Whether all of ``claims`` were checked and every check of theirs passed or was without need of anything."""
        return all(self._passed(claim) for claim in claims)

    def _passed(self, claim: int) -> bool:
        checks = [check for check in self.checks if check.claim == claim]
        hindered = any(check.status is Status.FAIL or check.missing for check in checks)
        return not hindered and any(check.status is Status.PASS for check in checks)
