"""AMD's processors with SEV-SNP: their roots, their model numbers, and how they number their firmware.

AMD, "SEV Secure Nested Paging Firmware ABI Specification" (56860), TCB_VERSION, and the KDS interface specification
(57230). The roots are those of AMD's key distribution service, as go-sev-guest ships them; ranges of models as the
`sev` library of VirTEE has them.
"""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.record.digest import Digest, parse_digest

ZEN3_4, ZEN5 = 0x19, 0x1A
"""Families of processors, as CPUID and reports of version 3 give them."""


@dataclass(frozen=True, slots=True)
class Product:
    """A generation of processors.

    Attributes:
        name: as AMD's names of roots spell it.
        root: SHA-256 of its root's certificate (DER).
        names: products that hang from that root, as certificates of chips name them before a stepping.
        family: of processors.
        models: ranges of models, first and last.
        structure: version of the extensions in a chip's certificate.
        chip_id: bytes that name a chip; the report has room for 64.
        layout: where the security version of each component stands in the 8 bytes of a TCB version.
    """

    name: str
    root: Digest
    names: tuple[str, ...]
    family: int
    models: tuple[tuple[int, int], ...]
    structure: int
    chip_id: int
    layout: tuple[tuple[str, int], ...]

    def is_model(self, family: int, model: int) -> bool:
        """Whether processors of that family and model are of this generation."""
        return family == self.family and any(first <= model <= last for first, last in self.models)


EARLY_LAYOUT = (("bootloader", 0), ("tee", 1), ("snp", 6), ("microcode", 7))
TURIN_LAYOUT = (("fmc", 0), ("bootloader", 1), ("tee", 2), ("snp", 3), ("microcode", 7))

MILAN = Product(
    name="Milan",
    root=parse_digest("69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd"),
    names=("Milan",),
    family=ZEN3_4,
    models=((0x00, 0x0F),),
    structure=0,
    chip_id=64,
    layout=EARLY_LAYOUT,
)
"""Third generation. Its chips' root seed can be read out by software (arXiv 2605.12990), for any firmware version."""
GENOA = Product(
    name="Genoa",
    root=parse_digest("4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1"),
    names=("Genoa", "Bergamo", "Siena"),
    family=ZEN3_4,
    models=((0x10, 0x1F), (0xA0, 0xAF)),
    structure=0,
    chip_id=64,
    layout=EARLY_LAYOUT,
)
"""Fourth generation; Bergamo and Siena hang from the same root."""
TURIN = Product(
    name="Turin",
    root=parse_digest("1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a"),
    names=("Turin",),
    family=ZEN5,
    models=((0x00, 0x11),),
    structure=1,
    chip_id=8,
    layout=TURIN_LAYOUT,
)
"""Fifth generation: a component more, and shorter names of chips."""

PRODUCTS = {product.name: product for product in (MILAN, GENOA, TURIN)}
