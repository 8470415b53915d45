from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from attestrain.corpus.build import build_from_documents
from attestrain.corpus.config import CorpusConfig
from attestrain.corpus.dataset import Dataset
from attestrain.corpus.sources import Document
from attestrain.errors import FormatError, UsageError
from attestrain.record.dataset import batch_digest, leaves_root, split_leaves

CONFIG = CorpusConfig(sequence_tokens=8, tokenizer="bpe", vocab=260, salt="0f" * 32)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    build_from_documents([Document(f"{i}.txt", f"document {i}; ".encode() * 20) for i in range(6)], CONFIG, folder)
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "dataset"))


def test_sequences_overlap_by_one_token(finished: Path):
    train = Dataset.open(finished).split("train")
    assert train.sequence(0).shape == (9,)
    assert train.sequence(0).dtype == np.int64
    assert train.sequence(0)[-1] == train.sequence(1)[0]


def test_batches_keep_order_and_repeats(finished: Path):
    train = Dataset.open(finished).split("train")
    batch = train.batch([3, 0, 3])
    assert batch.tokens.shape == (3, 9)
    assert batch.tokens.tolist() == [train.sequence(i).tolist() for i in (3, 0, 3)]
    assert batch.digest == batch_digest([train.leaf(3), train.leaf(0), train.leaf(3)])


def test_a_verifier_needs_only_the_leaves(finished: Path):
    dataset = Dataset.open(finished)
    train = dataset.split("train")
    leaves = split_leaves((finished / "train.leaves").read_bytes())
    assert leaves_root(train.leaves) == dataset.manifest.train.root
    assert batch_digest([leaves[i] for i in (2, 5)]) == train.batch(np.array([2, 5]).tolist()).digest


@pytest.mark.parametrize("index", [-1, 10**6])
def test_there_is_no_sequence_outside_the_split(finished: Path, index: int):
    train = Dataset.open(finished).split("train")
    for read in (train.leaf, train.sequence, lambda i: train.batch([0, i])):
        with pytest.raises(IndexError):
            read(index)


def test_an_untouched_folder_passes(finished: Path):
    Dataset.open(finished).check()


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_changed_tokens_are_caught_when_read_and_by_check(folder: Path, split: str):
    path = folder / f"{split}.tokens"
    data = bytearray(path.read_bytes())
    data[2] ^= 1
    path.write_bytes(data)
    dataset = Dataset.open(folder)
    with pytest.raises(FormatError, match=f"{split}.tokens"):
        dataset.check()
    with pytest.raises(FormatError, match="sequence 0 does not match"):
        dataset.split(split).batch([0])  # type: ignore[arg-type]
    assert dataset.split(split).sequence(1).shape == (9,)  # type: ignore[arg-type]


def test_changed_tokens_after_the_last_sequence_are_caught_by_check(tmp_path: Path):
    config = CorpusConfig(sequence_tokens=8, validation=Decimal(0), test=Decimal(0))
    build_from_documents([Document("a", b"x" * 15)], config, tmp_path)
    (tmp_path / "train.tokens").write_bytes(b"x" * 14 + b"y")
    dataset = Dataset.open(tmp_path)
    assert dataset.split("train").sequences == 1
    assert dataset.split("train").sequence(0).tolist() == [ord("x")] * 9
    with pytest.raises(FormatError, match=r"train\.tokens"):
        dataset.check()


@pytest.mark.parametrize("name", ["documents.json", "tokenizer.json"])
def test_changed_side_files_are_caught_by_check(folder: Path, name: str):
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    with pytest.raises(FormatError, match="not the one in the manifest"):
        Dataset.open(folder).check()


@pytest.mark.parametrize("name", ["train.leaves", "test.leaves", "train.tokens", "manifest.json", "salt"])
def test_torn_files_are_caught_on_opening(folder: Path, name: str):
    (folder / name).write_bytes((folder / name).read_bytes()[:-2])
    with pytest.raises(FormatError):
        Dataset.open(folder)


def test_leaves_of_another_order_are_caught_on_opening(folder: Path):
    data = (folder / "train.leaves").read_bytes()
    (folder / "train.leaves").write_bytes(data[32:64] + data[:32] + data[64:])
    with pytest.raises(FormatError, match=r"train\.leaves"):
        Dataset.open(folder)


@pytest.mark.parametrize("name", ["manifest.json", "train.leaves", "salt"])
def test_missing_files_are_usage_errors(folder: Path, name: str):
    (folder / name).unlink()
    with pytest.raises(UsageError, match="cannot read"):
        Dataset.open(folder)


def test_a_wrong_salt_is_caught_on_the_first_read(folder: Path):
    (folder / "salt").write_text("00" * 32)
    with pytest.raises(FormatError, match="does not match its leaf"):
        Dataset.open(folder).split("train").sequence(0)
