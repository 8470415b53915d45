"""Reports of a confidential guest by Linux's configfs-tsm: TDX quotes and SEV-SNP reports through one interface.

Source: Linux, Documentation/ABI/testing/configfs-tsm-report (6.7 and later). A request is a folder of its own, so that
nobody writes into it between our write and our read; its ``generation``, which counts writes, shows if somebody did.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from attestrain.errors import Unreachable, UsageError

ROOT = Path("/sys/kernel/config/tsm/report")
"""Where the kernel makes reports."""
INBLOB_SIZE = 64
"""Bytes that a report binds."""
MAX_BLOB = 1 << 16
"""Largest blob read, in bytes: the kernel's first versions gave at most 32 KiB."""
MAX_WORD = 64
"""Longest attribute that is a word or a number."""
MAX_QUOTE = 8192
"""Largest TDX quote, in bytes: the kernel's documentation says that what is larger is a DICE token (CBOR) instead."""
TDX, SNP = "tdx_guest", "sev_guest"


@dataclass(frozen=True, slots=True)
class Report:
    """What the kernel gave.

    Attributes:
        provider: ``tdx_guest`` or ``sev_guest``.
        outblob: a TDX quote or a SEV-SNP report.
        auxblob: certificates that the host added to a SEV-SNP report; mostly empty.
    """

    provider: str
    outblob: bytes
    auxblob: bytes


def request_report(inblob: bytes, provider: str, root: Path = ROOT) -> Report:
    """Ask the kernel for a report.

    Args:
        inblob: the 64 bytes that the report binds.
        provider: who has to give it: `TDX` or `SNP`.
        root: the folder in which requests are made.

    Raises:
        UsageError: this is no such guest, or it gives reports that are not read here.
        Unreachable: the kernel or the host gives none, or somebody wrote into the request.
    """
    if len(inblob) != INBLOB_SIZE:
        raise UsageError(f"report data of {len(inblob)} bytes are not {INBLOB_SIZE}")
    with _request(root) as folder:
        report = _fill(folder, inblob)
    if report.provider != provider:
        raise UsageError(f"reports of this machine come from {report.provider!r}, not {provider!r}")
    if provider == TDX and len(report.outblob) > MAX_QUOTE:
        raise UsageError(
            f"this machine's report of {len(report.outblob)} bytes is a DICE token and no quote",
            hint="platforms whose quotes have more than 8 KiB are not supported",
        )
    return report


@contextmanager
def _request(root: Path) -> Iterator[Path]:
    """A folder for one request, which is taken away whatever happens."""
    folder = root / f"attestrain-{secrets.token_hex(8)}"
    try:
        os.mkdir(folder, 0o700)
    except FileNotFoundError as error:
        hint = "a confidential guest of Linux 6.7 or later, with configfs mounted, has it"
        raise UsageError(f"there is no {root} on this machine", hint=hint) from error
    except OSError as error:
        raise UsageError(f"no report can be requested in {root}: {error.strerror}", hint="root may") from error
    try:
        yield folder
    except OSError as error:
        raise Unreachable(f"the kernel gives no report: {error.strerror}") from error
    finally:
        # A folder that stays behind harms nobody; an error here would hide why the report failed.
        with suppress(OSError):
            os.rmdir(folder)


def _fill(folder: Path, inblob: bytes) -> Report:
    before = _generation(folder)
    (folder / "inblob").write_bytes(inblob)
    outblob = _read(folder / "outblob", MAX_BLOB)
    auxblob = _read(folder / "auxblob", MAX_BLOB) if (folder / "auxblob").exists() else b""
    provider = _word(folder / "provider")
    if (writes := _generation(folder) - before) != 1:
        raise Unreachable(f"the report is of {writes} writes, not of ours alone", hint="ask again")
    if not outblob:
        raise Unreachable("the kernel gives an empty report")
    return Report(provider, outblob, auxblob)


def _generation(folder: Path) -> int:
    text = _word(folder / "generation")
    if not text.isdecimal():
        raise Unreachable(f"the report's generation is no number: {text!r}")
    return int(text)


def _word(path: Path) -> str:
    return _read(path, MAX_WORD).decode("ascii", "replace").strip()


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Unreachable(f"the report's {path.name} has more than {most} bytes")
    return data
