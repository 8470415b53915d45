from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attestrain.corpus.config import MAX_SHARE
from attestrain.corpus.sources import Document
from attestrain.corpus.split import split_documents
from attestrain.record.dataset import SPLITS

FIVE = Decimal("0.05")

shares = st.decimals(0, MAX_SHARE, places=3)


def documents(count: int) -> list[Document]:
    return [Document(f"{i:04d}", f"text {i}".encode()) for i in range(count)]


@given(count=st.integers(3, 60), validation=shares, test=shares)
def test_every_document_goes_to_one_split_in_name_order(count: int, validation: Decimal, test: Decimal):
    splits = split_documents(documents(count), validation, test)
    assert sorted(document for name in SPLITS for document in splits[name]) == documents(count)
    assert all(splits[name] == sorted(splits[name]) for name in SPLITS)
    assert splits["train"]
    assert bool(splits["validation"]) == bool(validation)
    assert bool(splits["test"]) == bool(test)


def test_shares_are_of_documents():
    splits = split_documents(documents(100), FIVE, Decimal("0.1"))
    assert [len(splits[name]) for name in SPLITS] == [85, 5, 10]


def test_the_choice_depends_on_names_alone():
    shuffled = [Document(item.name, b"other") for item in reversed(documents(50))]
    first, second = split_documents(documents(50), FIVE, FIVE), split_documents(shuffled, FIVE, FIVE)
    assert all([a.name for a in first[name]] == [b.name for b in second[name]] for name in SPLITS)


def test_the_choice_is_pinned():
    splits = split_documents(documents(20), FIVE, FIVE)
    assert [splits[name][0].name for name in ("validation", "test")] == ["0003", "0004"]


def test_a_single_document_is_cut_by_position():
    text = bytes(range(100))
    splits = split_documents([Document("a", text)], Decimal("0.1"), FIVE)
    assert splits["train"] == [Document("a[0:85]", text[:85])]
    assert splits["validation"] == [Document("a[85:95]", text[85:95])]
    assert splits["test"] == [Document("a[95:100]", text[95:])]


@pytest.mark.parametrize("size", range(5))
def test_cutting_loses_no_byte(size: int):
    text = bytes(range(size))
    for validation, test in [(FIVE, FIVE), (Decimal(0), FIVE), (Decimal(0), Decimal(0))]:
        splits = split_documents([Document("a", text), Document("b", text)], validation, test)
        for source in "ab":
            pieces = [item.text for name in SPLITS for item in splits[name] if item.name.startswith(source)]
            assert b"".join(pieces) == text
