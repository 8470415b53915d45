"""Attestation reports of GPUs and NVSwitches, read by ourselves: an SPDM 1.1 request and the response to it.

Layout: DMTF DSP0274 1.1, "GET_MEASUREMENTS request and MEASUREMENTS response messages". The opaque data are NVIDIA's
own; the numbers of their fields are those of NVIDIA/nvtrust, guest_tools/gpu_verifiers. Reading proves nothing yet.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from attestrain.appraise.refused import Refused, require
from attestrain.record.digest import Digest, sha256

REQUEST = bytes.fromhex("11e001ff")
"""SPDM 1.1, GET_MEASUREMENTS, with a signature, all blocks."""
RESPONSE = bytes.fromhex("1160")
"""SPDM 1.1, MEASUREMENTS."""
REQUEST_SIZE, NONCE_SIZE, SIGNATURE_SIZE, HASH_SIZE = 37, 32, 96, 48
MAX_REPORT = 16_384
"""Largest report: genuine ones have 4,274 bytes at most, and 64 slots with all known fields stay below 5,000."""
MAX_SLOTS = 64
"""Most measurement slots: as many as reference values of GPUs have."""
DMTF = 1
"""Measurement specification of every block."""
RAW = 0x80
"""Bit of a measurement's type: a raw value instead of a digest."""

DRIVER, VBIOS, NVDEC, FIRMWARE_ID, PROTECTED, PEERS = 3, 6, 11, 20, 21, 22
"""Opaque fields. `PEERS` of a GPU: the NVSwitch at the other end of each link; of an NVSwitch: its own identity."""
GPUS, FEATURE = 26, 36
"""Opaque fields: the GPUs that an NVSwitch connects; the mode in which a GPU was started."""
PRODUCT = {"project": 17, "project SKU": 18, "chip SKU": 15}
"""Opaque fields that name the product, in text."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report.

    Attributes:
        signed: request and response up to the signature.
        signature: r and s on P-384, 48 bytes each, big-endian.
        nonce: 32 bytes that whoever asked for the report chose.
        measurements: SHA-384 values by slot, from 1 on.
        fields: opaque fields by number.
    """

    signed: bytes
    signature: bytes
    nonce: bytes
    measurements: Mapping[int, bytes]
    fields: Mapping[int, bytes]

    @classmethod
    def from_bytes(cls, data: bytes) -> Report:
        """Read a report.

        Raises:
            Refused: it is no report, of another version of SPDM, or malformed, cut short or too large.
        """
        require(len(data) <= MAX_REPORT, f"the report has {len(data)} bytes, more than {MAX_REPORT}")
        reader = _Reader(data)
        nonce = _read_request(reader)
        _expect(reader.take(2, "response"), RESPONSE, "a MEASUREMENTS response of SPDM 1.1")
        _, _, blocks = reader.take(3, "response")
        size = int.from_bytes(reader.take(3, "measurement record"), "little")
        measurements = _read_blocks(_Reader(reader.take(size, "measurement record")), blocks)
        reader.take(NONCE_SIZE, "response's nonce")
        fields = _read_fields(_Reader(reader.take(reader.number("opaque data"), "opaque data")))
        signed = reader.before
        signature = reader.take(SIGNATURE_SIZE, "signature")
        require(reader.ended, f"the report has {len(data) - len(signed) - SIGNATURE_SIZE} bytes behind its signature")
        return cls(signed, signature, nonce, measurements, fields)

    @property
    def identity(self) -> Digest:
        """Name of what was signed: SHA-256. A signature has two spellings, so the whole report names nothing."""
        return sha256(self.signed)

    @property
    def driver(self) -> str:
        """Version of the driver; empty where the report names none, as those of NVSwitches."""
        return self.text(DRIVER)

    @property
    def vbios(self) -> str:
        """Version of the VBIOS, such as ``96.00.9f.00.01``; of an NVSwitch, that of its firmware."""
        value = self.fields.get(VBIOS, b"")
        if len(value) != 8:
            return self.text(VBIOS).lower()
        # GPUs give two numbers of 32 bits, of which the second one's lowest byte ends the version.
        high, low = value[3::-1], value[4:5]
        return ".".join(f"{byte:02x}" for byte in high + low)

    def text(self, number: int) -> str:
        """A field as text, empty if absent.

        Raises:
            Refused: it is not printable ASCII padded with zeros.
        """
        value = self.fields.get(number, b"").rstrip(b"\0")
        if not all(0x20 <= byte < 0x7F for byte in value):
            raise Refused(f"field {number} of the report is not text: {value[:32].hex()}")
        return value.decode("ascii")


class _Reader:
    """Bytes read from front to back."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._data)

    @property
    def before(self) -> bytes:
        """What has been read."""
        return self._data[: self._at]

    def take(self, size: int, what: str) -> bytes:
        """The next ``size`` bytes."""
        end = self._at + size
        require(end <= len(self._data), f"the report ends within its {what}: {len(self._data)} bytes of {end}")
        part, self._at = self._data[self._at : end], end
        return part

    def number(self, what: str) -> int:
        """The next u16, little-endian."""
        return int(struct.unpack("<H", self.take(2, what))[0])


def _expect(value: bytes, required: bytes, what: str) -> None:
    require(value == required, f"the report does not begin {what}: {value.hex()}, not {required.hex()}")


def _read_request(reader: _Reader) -> bytes:
    """The nonce of the request that stands before the response."""
    _expect(reader.take(len(REQUEST), "request"), REQUEST, "with a GET_MEASUREMENTS request of SPDM 1.1")
    nonce = reader.take(NONCE_SIZE, "request")
    slot = reader.take(REQUEST_SIZE - len(REQUEST) - NONCE_SIZE, "request")
    require(slot == b"\0", f"the report asks for certificate slot {slot.hex()}, not 00")
    return nonce


def _read_blocks(reader: _Reader, count: int) -> dict[int, bytes]:
    require(count <= MAX_SLOTS, f"the report has {count} measurements, more than {MAX_SLOTS}")
    found: dict[int, bytes] = {}
    for expected in range(1, count + 1):
        slot, specification, size, kind, value_size = struct.unpack("<BBHBH", reader.take(7, "measurements"))
        require(slot == expected, f"measurement {expected} of the report is of slot {slot}")
        shape = (specification, size, value_size)
        known = (DMTF, HASH_SIZE + 3, HASH_SIZE)
        require(shape == known, f"measurement {slot} has specification and sizes {shape}, not {known}")
        require(not kind & RAW, f"measurement {slot} is of type {kind:#x}: a raw value instead of a digest")
        found[slot] = reader.take(HASH_SIZE, "measurements")
    require(reader.ended, f"the report's measurement record goes on behind its {count} measurements")
    return found


def _read_fields(reader: _Reader) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while not reader.ended:
        number = reader.number("opaque data")
        require(number not in found, f"field {number} stands twice in the report")
        found[number] = reader.take(reader.number("opaque data"), "opaque data")
    return found
