"""What a quote can be about: TDX guests and SGX enclaves, and where the fields of their reports lie.

Layouts: Intel, "TDX DCAP Quoting Library API", appendix 3 (quote format, versions 4 and 5); "Intel TDX Module Base
Architecture Specification" (TD reports 1.0 and 1.5); "SGX ECDSA QuoteLibReference DCAP API", appendix A (version 3);
Intel SDM, volume 3D, table 38-21 (enclave report).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from attestrain.appraise.refused import Refused, require

KEY_TYPE = 2
"""Attestation keys are ECDSA over P-256."""
TEE_TDX, TEE_SGX = 0x81, 0
QE_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
"""Intel's quoting enclave."""
HEADER_SIZE = 48
ENCLAVE_SIZE = 384
"""An SGX enclave report."""
BODY_HEAD = 6
"""Version 5 says between header and body what the body is: type as u16, size as u32."""
BODY_TD_1_5_EX = 4
"""Type of the body that names a guest's history of migrations and devices."""
DICE_SIZE = 8192
"""A TDX outblob of the kernel above this many bytes is no quote of these versions but a chain of DICE certificates and
CWT claims (Linux, Documentation/ABI/testing/configfs-tsm-report)."""
CBOR = 0x80
"""From this byte on, CBOR begins an array, a map or a tag (RFC 8949, section 3.1); versions of quotes are below it."""

Fields = Mapping[str, tuple[int, int]]
"""Offset and size of each field of a body."""

TD_1_0: Fields = {
    "tee_tcb_svn": (0, 16),
    "mrseam": (16, 48),
    "mrsignerseam": (64, 48),
    "seamattributes": (112, 8),
    "tdattributes": (120, 8),
    "xfam": (128, 8),
    "mrtd": (136, 48),
    "mrconfigid": (184, 48),
    "mrowner": (232, 48),
    "mrownerconfig": (280, 48),
    "rtmr0": (328, 48),
    "rtmr1": (376, 48),
    "rtmr2": (424, 48),
    "rtmr3": (472, 48),
    "report_data": (520, 64),
}
TD_1_5: Fields = {**TD_1_0, "tee_tcb_svn2": (584, 16), "mrservicetd": (600, 48)}
ENCLAVE: Fields = {
    "cpu_svn": (0, 16),
    "miscselect": (16, 4),
    "isvextprodid": (32, 16),
    "attributes": (48, 16),
    "mrenclave": (64, 32),
    "mrsigner": (128, 32),
    "configid": (192, 64),
    "isvprodid": (256, 2),
    "isvsvn": (258, 2),
    "configsvn": (260, 2),
    "isvfamilyid": (304, 16),
    "report_data": (320, 64),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of quote.

    Attributes:
        format: its name in an `Attestation`.
        version: of the quote.
        tee: the header's TEE type.
        fields: of the body.
        size: of the body, in bytes.
        image: fields that measure what runs: they take reference values.
        configuration: fields that the host chooses: zero unless a policy names other values.
        type: number of the body in version 5, which alone has such numbers.
    """

    format: str
    version: int
    tee: int
    fields: Fields = field(hash=False)
    size: int
    image: tuple[str, ...]
    configuration: tuple[str, ...]
    type: int = 0

    @property
    def start(self) -> int:
        """Where the body begins."""
        return HEADER_SIZE + (BODY_HEAD if self.type else 0)

    @property
    def signed_size(self) -> int:
        """Bytes that the attestation key signs: all in front of the body's end."""
        return self.start + self.size

    @property
    def is_tdx(self) -> bool:
        """Whether it is about a TDX guest. Otherwise it is about an SGX enclave."""
        return self.tee == TEE_TDX

    @property
    def registers(self) -> tuple[str, ...]:
        """Fields to which a policy may give values."""
        return (*self.image, *self.configuration)

    @property
    def measurements(self) -> tuple[str, ...]:
        """Fields that say what runs and how it was configured."""
        return (*self.registers, "rtmr3") if self.is_tdx else self.registers


IMAGE = ("mrtd", "rtmr0", "rtmr1", "rtmr2")
"""Registers of a TDX guest that say which firmware and image it runs."""
_CONFIGURATION = ("mrconfigid", "mrowner", "mrownerconfig")
TDX_4 = Kind("tdx-quote-v4", 4, TEE_TDX, TD_1_0, 584, IMAGE, _CONFIGURATION)
TDX_5 = Kind("tdx-quote-v5", 5, TEE_TDX, TD_1_0, 584, IMAGE, _CONFIGURATION, type=2)
TDX_5_15 = Kind("tdx-quote-v5", 5, TEE_TDX, TD_1_5, 648, IMAGE, _CONFIGURATION, type=3)
SGX_3 = Kind("sgx-quote-v3", 3, TEE_SGX, ENCLAVE, ENCLAVE_SIZE, ("mrenclave", "mrsigner"), ("configid",))
KINDS = (SGX_3, TDX_4, TDX_5, TDX_5_15)
TDX = (TDX_4, TDX_5, TDX_5_15)
REGISTERS = tuple(dict.fromkeys(name for kind in KINDS for name in kind.registers))
"""Fields to which a policy may give values, of any kind."""


def read_kind(data: bytes) -> Kind:
    """What kind of quote ``data`` begins.

    Raises:
        Refused: none that is read here, or its header is not one of Intel's quoting enclave.
    """
    if len(data) > DICE_SIZE and data[0] >= CBOR:
        raise Refused(f"{len(data)} bytes in CBOR are a DICE/CWT outblob of a newer platform, which is not read yet")
    require(len(data) >= HEADER_SIZE + BODY_HEAD, f"the quote ends within its header: {len(data)} bytes")
    version, key_type, tee = struct.unpack_from("<HHI", data)
    type_, size = struct.unpack_from("<HI", data, HEADER_SIZE) if version == TDX_5.version else (0, None)
    kind = _find(version, tee, type_)
    require(key_type == KEY_TYPE, f"the quote's attestation key is of type {key_type}, not {KEY_TYPE}")
    require(size in (None, kind.size), f"the quote's body of type {type_} has {size} bytes, not {kind.size}")
    vendor = data[12:28]
    require(vendor == QE_VENDOR, f"the quote names quoting enclave vendor {vendor.hex()}, not {QE_VENDOR.hex()}")
    return kind


def _find(version: int, tee: int, type_: int) -> Kind:
    versions = sorted({kind.version for kind in KINDS})
    require(version in versions, f"the quote has version {version}, not {' or '.join(map(str, versions))}")
    found = [kind for kind in KINDS if (kind.version, kind.tee) == (version, tee)]
    known = next(kind.tee for kind in KINDS if kind.version == version)
    require(bool(found), f"the quote of version {version} is of TEE type {tee:#x}, not {known:#x}")
    require(type_ != BODY_TD_1_5_EX, "the quote's body is of type 4, a TD report 1.5 with migrations and devices")
    for kind in found:
        if kind.type == type_:
            return kind
    raise Refused(f"the quote's body is of type {type_}, not {' or '.join(str(kind.type) for kind in found)}")
