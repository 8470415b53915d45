"""Which documents train, which validate, which are kept for the final test.

The choice depends on document names alone: whoever holds the list of documents can repeat it, and nobody can move an
easy text into validation without renaming it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from attestrain.corpus.sources import Document
from attestrain.record.dataset import SplitName
from attestrain.record.digest import tagged

SPLIT_TAG: Final = "attestrain.dev/split@v1"

FEWEST_WHOLE = 3
"""With fewer documents than splits, each document is cut by position instead."""

Splits = dict[SplitName, list[Document]]


def split_documents(documents: Sequence[Document], validation: Decimal, test: Decimal) -> Splits:
    """Share ``documents`` out; each split keeps name order.

    From three documents on they stay whole: ranked by a digest of their names, the first go to validation, the next to
    test, the rest to training, and a share above zero gets at least one. One or two documents are cut by position, the
    validation and test parts from the end, because neighbouring text is too alike to be interleaved.

    Args:
        documents: with unique names.
        validation: share from 0 to 0.3, of documents (of bytes where documents are cut).
        test: likewise.
    """
    if len(documents) < FEWEST_WHOLE:
        return _cut_all(sorted(documents), validation, test)
    ranked = sorted(documents, key=lambda document: tagged(SPLIT_TAG, document.name.encode()))
    first = _portion(len(ranked), validation)
    second = first + _portion(len(ranked), test)
    return {
        "train": sorted(ranked[second:]),
        "validation": sorted(ranked[:first]),
        "test": sorted(ranked[first:second]),
    }


def _cut_all(documents: Sequence[Document], validation: Decimal, test: Decimal) -> Splits:
    splits: Splits = {"train": [], "validation": [], "test": []}
    for document in documents:
        size = len(document.text)
        last = max(0, size - _portion(size, test))
        middle = max(0, last - _portion(size, validation))
        splits["train"] += _piece(document, 0, middle)
        splits["validation"] += _piece(document, middle, last)
        splits["test"] += _piece(document, last, size)
    return splits


def _piece(document: Document, start: int, end: int) -> list[Document]:
    return [Document(f"{document.name}[{start}:{end}]", document.text[start:end])] if end > start else []


def _portion(total: int, share: Decimal) -> int:
    """``share`` of ``total``, to the nearest whole, at least one unless nothing was asked for."""
    return max(1, int((total * share).to_integral_value(ROUND_HALF_UP))) if share else 0
