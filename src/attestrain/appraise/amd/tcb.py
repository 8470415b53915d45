"""Which firmware a platform runs: security versions by component."""

from __future__ import annotations

from dataclasses import dataclass, fields

from attestrain.appraise.amd.product import Product
from attestrain.appraise.refused import require

TCB_SIZE = 8
COMPONENTS = {
    "fmc": "FMC",
    "bootloader": "boot loader",
    "tee": "TEE",
    "snp": "SNP firmware",
    "microcode": "microcode",
}
"""What people call the components."""


@dataclass(frozen=True, slots=True)
class Tcb:
    """Security versions, each a byte.

    Attributes:
        fmc: of the firmware that starts the secure processor, on Turin alone.
        bootloader: of the secure processor's boot loader.
        tee: of its operating system.
        snp: of the SNP firmware.
        microcode: of the lowest patch of all cores.
    """

    fmc: int = 0
    bootloader: int = 0
    tee: int = 0
    snp: int = 0
    microcode: int = 0

    @classmethod
    def from_bytes(cls, data: bytes, product: Product, what: str) -> Tcb:
        """Read a TCB version of a report.

        Raises:
            Refused: a byte that has no meaning on this product is not zero.
        """
        places = dict(product.layout)
        rest = [value for at, value in enumerate(data) if at not in places.values()]
        require(not any(rest), f"the {what} TCB {data.hex()} sets bytes that mean nothing on {product.name}")
        return cls(**{name: data[at] for name, at in places.items()})

    def to_bytes(self, product: Product) -> bytes:
        """The 8 bytes that stand in a report of this product."""
        data = bytearray(TCB_SIZE)
        for name, at in product.layout:
            data[at] = getattr(self, name)
        return bytes(data)

    def below(self, minimum: Tcb) -> tuple[str, ...]:
        """Names of the components that are older than in ``minimum``."""
        return tuple(item.name for item in fields(self) if getattr(self, item.name) < getattr(minimum, item.name))

    def __str__(self) -> str:
        shown = ((text, getattr(self, name)) for name, text in COMPONENTS.items())
        return ", ".join(f"{text} {value}" for text, value in shown if text != "FMC" or value)
