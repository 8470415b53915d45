"""The section ``[intel]`` of an evidence policy."""

from __future__ import annotations

from attestrain.appraise.intel.bodies import REGISTERS
from attestrain.appraise.intel.policy import DAY, LEAST_EVALUATION, MOST_AGE, STATUSES, IntelPolicy
from attestrain.appraise.references import read_value
from attestrain.appraise.tables import Table
from attestrain.errors import FormatError
from attestrain.record.digest import parse_digest

MOST_EVALUATION = 1 << 20
"""Largest number of an evaluation that a policy may ask for: Intel raises it a few times a year."""
MOST_DAYS = 3650
"""Largest age of collateral, in days: past its expiry it is refused anyway."""


def read_intel(value: object) -> IntelPolicy:
    """Read the section; without it, or without one of its fields, the defaults of `IntelPolicy` hold.

    Raises:
        FormatError: unknown or malformed fields.
    """
    keys = set(IntelPolicy.__dataclass_fields__) - {"most_age"} | {"most_age_days"}
    table = Table(value, keys, "intel")
    advisories = table.texts("advisories") if "advisories" in table else None
    return IntelPolicy(
        roots=table.array("roots", parse_digest),
        hardware=table.boolean("hardware", True),
        statuses=table.array("statuses", _read_status, IntelPolicy().statuses),
        advisories=advisories,
        denied_advisories=table.texts("denied_advisories"),
        least_evaluation=table.integer("least_evaluation", LEAST_EVALUATION, 0, MOST_EVALUATION),
        most_age=DAY * table.integer("most_age_days", MOST_AGE // DAY, 1, MOST_DAYS),
        dynamic_platform=table.boolean("dynamic_platform", True),
        cached_keys=table.boolean("cached_keys", True),
        smt=table.boolean("smt", True),
        registers=_read_registers(table.value("registers")),
    )


def _read_status(value: object) -> str:
    if value not in STATUSES:
        raise FormatError(f"intel.statuses: {str(value)[:40]!r} is none of {', '.join(STATUSES)}")
    return str(value)


def _read_registers(value: object) -> dict[str, tuple[bytes, ...]]:
    table = Table(value, REGISTERS, "intel.registers")
    return {name: table.array(name, _read_register) for name in REGISTERS if name in table}


def _read_register(value: object) -> bytes:
    return read_value(value, "a value of intel.registers")
