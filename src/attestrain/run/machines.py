"""Which machine gives a participant's evidence: what the network's terms ask for, and what there is here."""

from __future__ import annotations

from pathlib import Path

from attestrain.attester.guest import TdxGuest
from attestrain.attester.machine import Machine
from attestrain.attester.platform import Platform
from attestrain.attester.simulator import SimulatedMachine
from attestrain.errors import UsageError
from attestrain.record.canonical import canonical, parse
from attestrain.record.evidence import MAX_EVIDENCE, Collateral
from attestrain.record.fields import Fields

NONE, SIMULATED, TDX = "none", "simulated", "tdx"
MODES = (NONE, SIMULATED, TDX)
"""Which evidence a network asks for: none, that of simulated machines, or that of TDX guests without dstack."""
COLLATERAL = "collateral.json"
"""In a participant's folder: what Intel says of the platform that its guest runs on."""
FORMAT = "attestrain.dev/collateral@v1"


def choose_machine(mode: str, platform: Platform | None, folder: Path) -> Machine | None:
    """The machine that gives evidence, None where none is asked for.

    Args:
        mode: one of `MODES`, from the network's terms.
        platform: the simulated platform that came with the invitation, if one did.
        folder: the participant's own, in which a TDX guest has its collateral.

    Raises:
        UsageError: what this kind of evidence needs is not here.
        FormatError: the collateral is malformed.
    """
    if mode == NONE:
        return None
    if mode == TDX:
        return TdxGuest(read_collateral(folder / COLLATERAL))
    if platform is None:
        raise UsageError("this network asks for simulated evidence, and the invitation brings no simulated platform")
    return SimulatedMachine(platform)


def collateral_bytes(collateral: Collateral) -> bytes:
    """The canonical document of the file (spec/evidence.md, "Collateral by itself")."""
    return canonical({"format": FORMAT, "collateral": collateral.to_json()})


def read_collateral(path: Path) -> Collateral:
    """Read the file strictly.

    Raises:
        UsageError: it cannot be read.
        FormatError: it is malformed or out of bounds.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_EVIDENCE + 1)
    except OSError as error:
        hint = "fetch it from Intel's provisioning service for the platform that the guest runs on"
        raise UsageError(f"TDX evidence needs {path}: {error.strerror}", hint=hint) from error
    fields = Fields(parse(data, max_bytes=MAX_EVIDENCE), ("format", "collateral"), "collateral file")
    fields.constant("format", FORMAT)
    return Collateral.from_json(fields.object("collateral"))
