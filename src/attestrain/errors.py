"""One exception tree. Every class carries the exit code of DESIGN section 9 and, where one helps, a hint.

    AttestrainError (1)
    +-- UsageError (2)            wrong arguments or configuration
    |   +-- FormatError (2)       bytes from outside that are not what they claim to be
    +-- Undecided (3)             something needed for a decision is missing
    +-- Refuted (4)               a claim is contradicted
    +-- PolicyNotMet (5)          nothing wrong, but the policy asks for more
    +-- Unreachable (6)           a store, peer or chain does not answer
    +-- RunFailed (7)             training could not go on
    +-- Interrupted (130)         stopped by the user

Nothing else leaves a command on purpose: what does is a bug.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Process exit codes. Published: never renumber."""

    DONE = 0
    BUG = 1
    USAGE = 2
    UNDECIDED = 3
    REFUTED = 4
    CONSISTENT = 5
    UNREACHABLE = 6
    RUN_FAILED = 7
    INTERRUPTED = 130


class AttestrainError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        message: what happened and where, lower case, no full stop.
        hint: what the reader can do about it, shown on a line of its own.
    """

    exit_code: ExitCode = ExitCode.BUG

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(AttestrainError):
    """Wrong arguments or configuration."""

    exit_code = ExitCode.USAGE


class FormatError(UsageError):
    """Bytes from outside that are malformed, oversized or not canonical."""


class Undecided(AttestrainError):
    """Something needed for a decision is missing."""

    exit_code = ExitCode.UNDECIDED


class Refuted(AttestrainError):
    """A claim is contradicted by the evidence."""

    exit_code = ExitCode.REFUTED


class PolicyNotMet(AttestrainError):
    """Nothing is wrong, but the policy asks for more than was achieved."""

    exit_code = ExitCode.CONSISTENT


class Unreachable(AttestrainError):
    """A store, peer or chain does not answer."""

    exit_code = ExitCode.UNREACHABLE


class RunFailed(AttestrainError):
    """Training could not go on."""

    exit_code = ExitCode.RUN_FAILED


class Interrupted(AttestrainError):
    """Stopped by the user; the run can be resumed."""

    exit_code = ExitCode.INTERRUPTED
