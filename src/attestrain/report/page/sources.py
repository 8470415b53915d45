"""Where a number comes from: every figure of the report carries a source, and the sources make its last section.

There are four kinds: a file of the bundle, an entry of its transcript, a claim that `verify` re-derived, and files that
nobody signed (the run's own event log, the figures that ship with this package).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from attestrain.record.merkle import leaf_hash
from attestrain.record.tiles import WIDTH, entries_path
from attestrain.report.page.reading import Reading

EVENTS = "events.jsonl"
REFERENCE = "data/reference/demo.json"


@dataclass(frozen=True, slots=True)
class Source:
    """A place in the page's list of evidence.

    Attributes:
        anchor: its id in the page.
        place: what it is called in print.
        title: what a reader sees when the pointer rests on a number.
    """

    anchor: str
    place: str
    title: str


@dataclass(frozen=True, slots=True)
class Cited:
    """Text that a source stands behind; ``full`` is the whole value where ``text`` is shortened."""

    text: str
    source: Source
    full: str = ""


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of the bundle, as the evidence section lists it."""

    source: Source
    what: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry of the transcript, as the evidence section lists it."""

    source: Source
    statement: str
    about: str
    signer: str
    leaf: str
    file: str


class Sources:
    """Hands out sources and remembers which were used.

    Args:
        reading: the bundle.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._files: dict[str, tuple[int, str]] = {}
        self._entries: set[int] = set()

    def file(self, path: str, what: str = "") -> Source:
        """A file of the bundle."""
        number, known = self._files.get(path, (len(self._files) + 1, ""))
        self._files[path] = number, known or what
        listed = self._reading.bundle is not None and path in self._reading.bundle
        return Source(f"file-{number}", path, f"bundle file {path}" + ("" if listed else ", missing from the manifest"))

    def entry(self, index: int) -> Source:
        """An entry of the transcript."""
        if self._reading.log is None or not 0 <= index < len(self._reading.log):
            return self.claim(2)
        self._entries.add(index)
        return Source(f"entry-{index}", f"entry {index}", f"transcript entry {index}")

    def claim(self, number: int, how: str = "") -> Source:
        """A claim that `verify` re-derived from the bundle when this report was written."""
        return Source(
            f"claim-{number}", f"claim ({number})", f"claim ({number}), re-derived by verify{how and ': '}{how}"
        )

    def events(self, kind: str = "") -> Source:
        """The run's own event log, which nobody signed."""
        return Source(
            "unsigned-events", EVENTS, f"{EVENTS}{kind and f', {kind} events'}: said by the run, signed by nobody"
        )

    def reference(self) -> Source:
        """Figures that ship with this package."""
        return Source("unsigned-reference", REFERENCE, f"{REFERENCE} of this package: measured once, by its command")

    def files(self) -> list[FileRow]:
        """Every file that was named, in the order of first mention."""
        manifest = {} if self._reading.bundle is None else self._reading.bundle.manifest.files
        rows = []
        for path, (_, what) in list(self._files.items()):
            entry = manifest.get(path)
            digest = "not in the manifest" if entry is None else entry.digest.hex()
            rows.append(FileRow(self.file(path), what, 0 if entry is None else entry.size, digest))
        return rows

    def entries(self) -> list[EntryRow]:
        """Every transcript entry that was named, ascending."""
        return [self._entry_row(index) for index in sorted(self._entries)]

    def _entry_row(self, index: int) -> EntryRow:
        log, signed = self._reading.log, self._reading.entry(index)
        assert log is not None
        assert signed is not None
        width = min(WIDTH, len(log) - index // WIDTH * WIDTH)
        named = {item.name for item in fields(signed.statement)}
        about = [f"{name} {getattr(signed.statement, name)}" for name in _ABOUT if name in named]
        return EntryRow(
            source=self.entry(index),
            statement=signed.statement.FORMAT,
            about=", ".join(about),
            signer=str(signed.signer()),
            leaf=leaf_hash(log[index]).hex(),
            file=f"transcript/{entries_path(index // WIDTH, width)}",
        )


_ABOUT = ("epoch", "round", "role", "worker", "segment", "auditor", "outcome")
"""Quantities that say what a statement is about, in the order in which they are read."""


def short(digest: str, digits: int = 12) -> str:
    """The beginning of a digest or an account: enough to tell the ones of a run apart."""
    size = digits + 2 if digest.startswith("0x") else digits
    return digest if len(digest) <= size else f"{digest[:size]}\N{HORIZONTAL ELLIPSIS}"
