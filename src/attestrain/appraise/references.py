"""Reference values: what an image measures, as somebody who built it says (spec/evidence-policy.md).

Measurements of one image differ with the number of processors and the memory of the guest, so a manifest has a row for
each. Evidence must agree with one row in every register that the row names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from attestrain.appraise.attestation import Attestation
from attestrain.appraise.endorsed import read_endorsed
from attestrain.appraise.refused import demand
from attestrain.errors import FormatError
from attestrain.record.evidence import MEASURED
from attestrain.record.fields import Fields
from attestrain.record.names import Address

FORMAT = "attestrain.dev/reference-values@v1"
EVENTS = {name.replace("-", "_") for name in MEASURED}
"""Names under which an evidence document's events count as measurements."""
MAX_ROWS = 1024
"""Most rows: thirty sizes of guests for thirty images."""
MAX_REGISTERS = 16
"""Most registers of a row: TDX has eight, SEV-SNP a handful."""
MAX_GUEST = 1 << 32
"""Most processors, and most MiB of memory, of a guest: beyond any machine."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}\Z")
_VALUE = re.compile(r"([0-9a-f]{2}){1,64}\Z")


@dataclass(frozen=True, slots=True)
class Reference:
    """What a guest of one image and size measures.

    Attributes:
        image: what its builder calls it.
        vcpus: processors of the guest.
        memory: of the guest, in MiB.
        registers: required values, by the names of `Attestation.measurements`: such as ``mrtd``, ``launch_digest`` or,
            for the digest of the code that the guest measured, ``package``.
        signer: who vouches for that.
    """

    image: str
    vcpus: int
    memory: int
    registers: Mapping[str, bytes]
    signer: Address

    @property
    def label(self) -> str:
        """Image and size, for people."""
        return f"image {self.image} with {self.vcpus} vCPUs and {self.memory} MiB"


def read_references(data: bytes, signers: Collection[Address]) -> tuple[Reference, ...]:
    """Read a manifest of reference values.

    Raises:
        FormatError: malformed or out of bounds.
        Refused: none of ``signers`` signed it.
    """
    document, signer = read_endorsed(data, FORMAT, signers)
    fields = Fields(document, ("format", "images"), "reference-values")
    return tuple(_read_row(item, signer) for item in fields.array("images", max_length=MAX_ROWS))


def _read_row(value: object, signer: Address) -> Reference:
    fields = Fields(value, ("image", "vcpus", "memory", "registers"), "images")
    registers = fields.object("registers")
    if not 0 < len(registers) <= MAX_REGISTERS:
        raise FormatError(f"images.registers has {len(registers)} entries, not 1 to {MAX_REGISTERS}")
    if registers.keys() <= EVENTS:
        raise FormatError("images.registers names events alone, which any image can measure, and no register")
    return Reference(
        image=fields.text("image"),
        vcpus=fields.integer("vcpus", 1, MAX_GUEST),
        memory=fields.integer("memory", 1, MAX_GUEST),
        registers={_read_name(name): read_value(text, f"registers.{name[:40]}") for name, text in registers.items()},
        signer=signer,
    )


def _read_name(name: str) -> str:
    if not _NAME.match(name):
        raise FormatError(f"not the name of a register: {name[:80]!r}")
    return name


def read_value(value: object, where: str) -> bytes:
    """A register's value: 1 to 64 bytes in lower-case hexadecimal.

    Raises:
        FormatError: it is none.
    """
    if not isinstance(value, str) or not _VALUE.match(value):
        raise FormatError(f"{where} is not 1 to 64 bytes in lower-case hexadecimal: {str(value)[:80]!r}")
    return bytes.fromhex(value)


def check_reference(shown: Attestation, references: Collection[Reference]) -> Reference:
    """The row that the evidence agrees with.

    Raises:
        PolicyNotMet: with none; the reason shows the row that comes nearest.
    """
    demand(bool(references), f"{shown.format} has no reference values to compare with, and the policy asks for them")
    found = [(_differences(shown, row), row) for row in references]
    differences, nearest = min(found, key=lambda pair: len(pair[0]))
    demand(not differences, f"no reference agrees; nearest is {nearest.label}: {'; '.join(differences)}")
    return nearest


def _differences(shown: Attestation, row: Reference) -> list[str]:
    observed = {name: shown.measurements.get(name) for name in row.registers}
    return [
        f"{name} is {'not measured' if value is None else value.hex()}, not {row.registers[name].hex()}"
        for name, value in observed.items()
        if value != row.registers[name]
    ]
