"""A simulated machine: gives byte-valid TDX quotes without hardware, under a development root.

It measures, extends RTMR3 and quotes as a guest of Intel's TDX would, and nothing protects its keys: what it says is
worth as much as its owner. Verdicts call it ``simulated``.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import Sequence

from attestrain.appraise.intel.bodies import (
    ENCLAVE_SIZE,
    HEADER_SIZE,
    KEY_TYPE,
    QE_VENDOR,
    TDX_4,
    Kind,
)
from attestrain.appraise.intel.quote import CERTIFIED_BY_CHAIN, CERTIFIED_BY_QE, sized
from attestrain.attester.p256 import new_key, public_bytes, sign_raw
from attestrain.attester.platform import (
    CPU_SVN,
    QE_ATTRIBUTES,
    QE_MRENCLAVE,
    QE_MRSIGNER,
    QE_PRODUCT,
    QE_SVN,
    TEE_SVN,
    Platform,
)
from attestrain.errors import UsageError
from attestrain.record.digest import Digest
from attestrain.record.evidence import REGISTER_SIZE, REPORT_DATA_SIZE, Event, Evidence, extend

SEPT_VE_DISABLE = 1 << 28
"""TD attribute without which TDX quoting enclaves' collateral refuses a guest."""
XFAM = bytes.fromhex("e702060000000000")
"""Processor features that the guest may use: AVX-512 and AMX, as genuine guests have."""
IMAGE = hashlib.sha384(b"attestrain development image").digest()
MODULE = hashlib.sha384(b"attestrain development TDX module").digest()
AUTHENTICATION_SIZE = 32
"""Bytes of the quoting enclave's authentication data; verifiers take no other size."""


class SimulatedMachine:
    """A guest on a simulated platform, from its start on.

    Args:
        platform: what a network's `DevPki` provisioned.
        attributes: TD attributes. Bit 0 makes a guest that can be debugged, which no appraisal takes.
        kind: of its quotes: `bodies.TDX_4`, as most platforms give, or one of version 5.
    """

    def __init__(self, platform: Platform, *, attributes: int = SEPT_VE_DISABLE, kind: Kind = TDX_4) -> None:
        self._platform = platform
        self._kind = kind
        self._attributes = attributes
        self._key = new_key()
        self._certification = self._certify()
        self._register = bytes(REGISTER_SIZE)
        self._events: list[Event] = []

    @property
    def root_digest(self) -> Digest:
        """SHA-256 of the development root certificate that vouches for this machine."""
        return self._platform.root_digest

    def extend(self, event: Event) -> None:
        """Measure ``event`` into RTMR3. It stays there until the machine ends."""
        self._register = extend(self._register, event.digest)
        self._events.append(event)

    def evidence(self, report_data: bytes, events: Sequence[Event], block_number: int, block_hash: Digest) -> Evidence:
        """Evidence of having measured ``events``: those that are not yet are measured now.

        Args:
            report_data: 64 bytes of the caller's, from `record.evidence.report_data`.
            events: all that RTMR3 holds then, in order.
            block_number: of the recent block that the report data cover.
            block_hash: its hash.

        Raises:
            UsageError: the machine has measured something else, and measurements cannot be taken back.
        """
        if self._events != list(events[: len(self._events)]):
            raise UsageError("this machine has measured something else", hint="start another one: it cannot forget")
        for event in events[len(self._events) :]:
            self.extend(event)
        quote = self._quote(report_data)
        return Evidence(quote, self._platform.collateral, tuple(self._events), block_number, block_hash)

    def _quote(self, report_data: bytes) -> bytes:
        if len(report_data) != REPORT_DATA_SIZE:
            raise UsageError(f"report data of {len(report_data)} bytes are not {REPORT_DATA_SIZE}")
        kind = self._kind
        header = (struct.pack("<HHIHH", kind.version, KEY_TYPE, kind.tee, 0, 0) + QE_VENDOR).ljust(HEADER_SIZE, b"\0")
        if kind.type:
            header += struct.pack("<HI", kind.type, kind.size)
        signed = header + self._report(report_data)
        signature = sign_raw(self._key, signed) + public_bytes(self._key) + self._certification
        return signed + sized(signature)

    def _report(self, report_data: bytes) -> bytes:
        """A TD report."""
        report = bytearray(self._kind.size)
        values = {
            "tee_tcb_svn": TEE_SVN,
            "mrseam": MODULE,
            "tdattributes": self._attributes.to_bytes(8, "little"),
            "xfam": XFAM,
            "mrtd": IMAGE,
            "rtmr3": self._register,
            "report_data": report_data,
        }
        if "tee_tcb_svn2" in self._kind.fields:
            values["tee_tcb_svn2"] = TEE_SVN  # the module that runs now is the one that started the guest
        for name, value in values.items():
            offset, size = self._kind.fields[name]
            report[offset : offset + size] = value
        return bytes(report)

    def _certify(self) -> bytes:
        """What the quote says about its attestation key: a report of the quoting enclave, and who vouches for that."""
        authentication = secrets.token_bytes(AUTHENTICATION_SIZE)
        bound = hashlib.sha256(public_bytes(self._key) + authentication).digest()
        report = _enclave_report(bound)
        inner = report + sign_raw(self._platform.key, report)
        inner += struct.pack("<H", AUTHENTICATION_SIZE) + authentication
        inner += struct.pack("<H", CERTIFIED_BY_CHAIN) + sized(self._platform.pem)
        return struct.pack("<H", CERTIFIED_BY_QE) + sized(inner)


def _enclave_report(bound: bytes) -> bytes:
    """An SGX enclave report (Intel SDM, volume 3D, table 38-21) of the quoting enclave, bound to its key."""
    report = bytearray(ENCLAVE_SIZE)
    report[0:16] = CPU_SVN
    report[48:64] = QE_ATTRIBUTES
    report[64:96] = QE_MRENCLAVE
    report[128:160] = QE_MRSIGNER
    report[256:260] = struct.pack("<HH", QE_PRODUCT, QE_SVN)
    report[320:352] = bound
    return bytes(report)
