"""Where text comes from: this Python's own library, the packaged slice of it, or files of the user's.

Every source gives the same documents in the same order wherever it finds the same bytes, and reads no more than the
configured number of them.
"""

from __future__ import annotations

import json
import os
import platform
import sysconfig
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module, resources
from itertools import pairwise
from pathlib import Path
from typing import Final

from attestrain.corpus.config import CorpusConfig
from attestrain.corpus.paths import Found, find_files
from attestrain.errors import FormatError, UsageError
from attestrain.record.canonical import check_nesting, parse
from attestrain.record.digest import sha256

LIBRARY_LICENCE: Final = "PSF-2.0"
LIBRARY_EXCLUDED: Final = frozenset(
    {
        *("test", "tests", "encodings", "pydoc_data", "__phello__"),
        *("idlelib", "tkinter", "turtledemo", "lib2to3", "distutils", "ensurepip"),
        *("site-packages", "dist-packages", "__pycache__"),
    }
)
"""Folders left out of the built-in corpus: test data and tables, parts that distributions split off or newer releases
drop, and whatever the user installed."""
MACHINE_PREFIXES: Final = ("_sysconfigdata", "config-")
"""Generated when Python was compiled: they differ between machines and hold its folder names."""

SLICE_FORMAT: Final = "attestrain.dev/corpus-slice@v1"
SLICE_FILE: Final = "python-slice.json.zlib"
SLICE_DIGEST: Final = "4e332a3049392f238e67eaae6e195746fbf4fc02a3828a5e73fdfd0fd9439dc6"
"""SHA-256 of the unpacked slice. tools/make_corpus_slice.py prints it."""
MAX_SLICE = 4 << 20
"""Largest unpacked slice in bytes: four times ours, so that a swapped file cannot fill the memory."""

MAX_DOCUMENTS = 4 << 20
"""Most documents of a corpus: their list (about 150 bytes each) is one document held in memory."""
MAX_LINE_DEPTH = 64
"""Deepest nesting of a JSON line: records around a text are shallow."""
MAX_LINE = 64 << 20
"""Longest JSONL line in bytes: a book fits many times, a file without line ends does not fill the memory."""

_SUFFIX = {"text": "", "jsonl": ".jsonl", "parquet": ".parquet"}


@dataclass(frozen=True, slots=True, order=True)
class Document:
    """One text: the unit that goes to a split as a whole. Names are unique within a corpus and decide the order."""

    name: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents with what the manifest says about them."""

    name: str
    licence: str
    source: str
    documents: tuple[Document, ...]


def load_corpus(config: CorpusConfig) -> Corpus:
    """Read every document that ``config`` names, in name order.

    Raises:
        UsageError: nothing found, something unreadable, more than ``max_bytes``, or two documents of one name.
        FormatError: a JSONL or parquet file that is not what its configuration says.
    """
    documents = collect(_documents(config), config.max_bytes)
    name, licence, source = _labels(config)
    return Corpus(config.name or name, config.licence or licence, config.origin or source, documents)


def collect(documents: Iterable[Document], max_bytes: int) -> tuple[Document, ...]:
    """Documents in name order, without empty ones.

    Raises:
        UsageError: none left, more than ``max_bytes`` or ``MAX_DOCUMENTS`` of them, or two of one name.
    """
    found = tuple(sorted(_bounded(documents, max_bytes)))
    for first, second in pairwise(found):
        if first.name == second.name:
            raise UsageError(
                f"two documents are called {first.name!r}", hint="name each file once, or put the folders under one"
            )
    if not found:
        raise UsageError("the corpus holds no text", hint="check dataset.source and dataset.paths")
    return found


def library_documents(root: Path) -> Iterator[Document]:
    """The Python sources under ``root``, without the folders of ``LIBRARY_EXCLUDED`` and machine-made files."""
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in LIBRARY_EXCLUDED and not _machine_made(name)]
        for file in files:
            if file.endswith(".py") and not _machine_made(file):
                path = Path(folder, file)
                yield Document(path.relative_to(root).as_posix(), path.read_bytes())


def slice_documents() -> Iterator[Document]:
    """The packaged slice, checked against its digest.

    Raises:
        FormatError: the packaged file is not the one this version was released with.
    """
    packed = resources.files("attestrain").joinpath("data", "corpus", SLICE_FILE).read_bytes()
    try:
        data = zlib.decompressobj().decompress(packed, MAX_SLICE)
    except zlib.error as error:
        raise FormatError(f"packaged corpus slice is damaged: {error}", hint="reinstall attestrain") from error
    if sha256(data).hex() != SLICE_DIGEST:
        raise FormatError("packaged corpus slice is not the released one", hint="reinstall attestrain")
    for item in parse(data)["documents"]:
        yield Document(item["name"], item["text"].encode())


def jsonl_documents(file: Found, field: str) -> Iterator[Document]:
    """One document per line: the text in ``field`` of the JSON object on it. Blank lines are skipped."""
    with file.open() as lines:
        for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE + 1), b""), start=1):
            if len(line) > MAX_LINE:
                raise FormatError(f"{file.name} line {number} is longer than {MAX_LINE} bytes")
            if line.strip():
                yield Document(f"{file.name}#{number:09d}", _json_text(line, field, f"{file.name} line {number}"))


def parquet_documents(file: Found, column: str) -> Iterator[Document]:
    """One document per row: the text (string or binary) in ``column``. Null rows are skipped."""
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError("parquet files need pyarrow", hint="pip install 'attestrain[train]'") from error
    try:
        source = parquet.ParquetFile(file.path)
        if column not in source.schema_arrow.names:
            raise UsageError(
                f"{file.name} has no column {column!r}", hint=f"columns: {', '.join(source.schema_arrow.names)}"
            )
        number = 0
        for batch in source.iter_batches(columns=[column], batch_size=1024):
            for value in batch.column(0).to_pylist():
                number += 1
                if value is not None:
                    yield Document(f"{file.name}#{number:09d}", _as_bytes(value, f"{file.name} row {number}"))
    except (OSError, ValueError, NotImplementedError) as error:
        raise FormatError(f"{file.name} is not a readable parquet file: {error}") from error


def _machine_made(name: str) -> bool:
    return name.startswith(MACHINE_PREFIXES)


def _documents(config: CorpusConfig) -> Iterator[Document]:
    if config.source == "builtin":
        yield from library_documents(Path(sysconfig.get_path("stdlib")))
    elif config.source == "slice":
        yield from slice_documents()
    else:
        for file in find_files(config.paths, suffix=_SUFFIX[config.source]):
            if config.source == "jsonl":
                yield from jsonl_documents(file, config.field)
            elif config.source == "parquet":
                yield from parquet_documents(file, config.field)
            else:
                yield Document(file.name, file.read(config.max_bytes))


def _bounded(documents: Iterable[Document], max_bytes: int) -> Iterator[Document]:
    """Pass on documents that hold text until there are too many. Empty ones would only distort the split."""
    size = count = 0
    for document in documents:
        if not document.text:
            continue
        size, count = size + len(document.text), count + 1
        if size > max_bytes:
            raise UsageError(
                f"the corpus is larger than {max_bytes} bytes", hint="raise dataset.max_bytes or name fewer files"
            )
        if count > MAX_DOCUMENTS:
            raise UsageError(f"the corpus has more than {MAX_DOCUMENTS} documents", hint="join short documents")
        yield document


def _labels(config: CorpusConfig) -> tuple[str, str, str]:
    """Name, licence and source of a corpus whose configuration leaves them open.

    Paths stay out of it: a manifest is published, and paths tell about the machine that built it.
    """
    if config.source == "builtin":
        version = platform.python_version()
        return f"python-{version}", LIBRARY_LICENCE, f"standard library of {platform.python_implementation()} {version}"
    if config.source == "slice":
        return "python-slice", LIBRARY_LICENCE, "standard library of CPython 3.11.7, slice packaged with attestrain"
    return "corpus", "unstated", f"{config.source} files of the run's builder"


def _json_text(line: bytes, field: str, where: str) -> bytes:
    try:
        check_nesting(line, MAX_LINE_DEPTH)
        value = json.loads(line)
    except (ValueError, RecursionError, FormatError) as error:
        raise FormatError(f"{where} is not JSON: {error}") from error
    if not isinstance(value, dict) or field not in value:
        raise FormatError(f"{where} has no field {field!r}", hint="set dataset.field to the field that holds the text")
    return _as_bytes(value[field], where)


def _as_bytes(value: object, where: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise FormatError(f"{where} holds {type(value).__name__} where text is expected")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise FormatError(f"{where} holds a lone surrogate, which is not text") from error
