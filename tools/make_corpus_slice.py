"""Make the packaged corpus slice from the running Python's standard library and print its digest.

Usage: python tools/make_corpus_slice.py        (with CPython 3.11.7, the release it is frozen at)

Files are taken in the order of a digest of their names, each that still fits into a megabyte, so nobody picked the
sample by hand. The LICENSE file of that Python goes next to it, as its licence asks.
"""

from __future__ import annotations

import sysconfig
import zlib
from pathlib import Path

from attestrain.corpus.sources import LIBRARY_LICENCE, SLICE_FILE, SLICE_FORMAT, Document, library_documents
from attestrain.record.canonical import canonical
from attestrain.record.digest import sha256, tagged

SIZE = 1_000_000
TARGET = Path(__file__).parent.parent / "src/attestrain/data/corpus"


def choose(documents: list[Document]) -> list[Document]:
    """The slice's documents in name order: at most ``SIZE`` bytes of them."""
    chosen, size = [], 0
    for document in sorted(documents, key=lambda item: tagged(SLICE_FORMAT, item.name.encode())):
        if document.text and size + len(document.text) <= SIZE:
            chosen.append(document)
            size += len(document.text)
    return sorted(chosen)


def main() -> None:
    """Write the slice and its licence; print what ``SLICE_DIGEST`` has to be."""
    library = Path(sysconfig.get_path("stdlib"))
    chosen = choose(list(library_documents(library)))
    data = canonical(
        {
            "format": SLICE_FORMAT,
            "documents": [{"name": item.name, "text": item.text.decode()} for item in chosen],
            "licence": LIBRARY_LICENCE,
        }
    )
    TARGET.mkdir(parents=True, exist_ok=True)
    packed = zlib.compress(data, 9)
    (TARGET / SLICE_FILE).write_bytes(packed)
    (TARGET / "LICENSE.python.txt").write_bytes((library / "LICENSE.txt").read_bytes())
    size = sum(len(item.text) for item in chosen)
    print(f"{len(chosen)} documents, {size} bytes, {len(packed)} packed, digest {sha256(data).hex()}")


if __name__ == "__main__":
    main()
