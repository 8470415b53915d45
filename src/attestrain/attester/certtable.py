"""The certificate table that a host adds to SEV-SNP reports.

Layout: AMD, "SEV-ES Guest-Hypervisor Communication Block Standardization" (56421), section 4.1.8.1: entries of a GUID,
an offset and a length (u32, little-endian), ended by an entry of zeros; the certificates lie behind. The host made the
table, so what it holds has to be checked against pinned roots like anything else.
"""

from __future__ import annotations

from uuid import UUID

from attestrain.errors import FormatError

GUIDS = {
    UUID("63da758d-e664-4564-adc5-f4b93be8accd"): "vcek",
    UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1"): "vlek",
    UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782"): "ask",
    UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae"): "ark",
    UUID("92f81bc3-5811-4d3d-97ff-d19f88dc67ea"): "crl",
}
"""Certificates by the GUID that the standard gives each."""
ENTRY_SIZE = 24
MAX_TABLE = 1 << 16
"""Largest table, in bytes: three certificates have about five thousand, the pages around them four times that."""
MAX_ENTRIES = 16
"""Most entries: hosts send three, and the standard names six."""


def read_certificates(table: bytes) -> dict[str, bytes]:
    """Certificates (DER) by what they are: ``vcek``, ``vlek``, ``ask``, ``ark``, ``crl``. Others are left out.

    Args:
        table: ``auxblob`` of a report; an empty one holds no certificates.

    Raises:
        FormatError: it is malformed, too large, or names one certificate twice.
    """
    if len(table) > MAX_TABLE:
        raise FormatError(f"the certificate table has {len(table)} bytes, more than {MAX_TABLE}")
    found: dict[str, bytes] = {}
    for guid, data in _entries(table):
        name = GUIDS.get(guid)
        if name in found:
            raise FormatError(f"the certificate table has {name} twice")
        if name is not None:
            found[name] = data
    return found


def _entries(table: bytes) -> list[tuple[UUID, bytes]]:
    entries: list[tuple[UUID, bytes]] = []
    if not table:
        return entries
    for at in range(0, ENTRY_SIZE * (MAX_ENTRIES + 1), ENTRY_SIZE):
        entry = table[at : at + ENTRY_SIZE]
        if len(entry) < ENTRY_SIZE:
            raise FormatError(f"the certificate table ends within its entry {at // ENTRY_SIZE}")
        if not any(entry):
            return entries
        offset, size = (int.from_bytes(entry[place : place + 4], "little") for place in (16, 20))
        if offset + size > len(table) or not size:
            raise FormatError(f"the certificate table names {size} bytes at {offset} and has {len(table)}")
        entries.append((UUID(bytes=entry[:16]), table[offset : offset + size]))
    raise FormatError(f"the certificate table has more than {MAX_ENTRIES} entries")
