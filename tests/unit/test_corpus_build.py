from __future__ import annotations

import json
import stat
from decimal import Decimal
from pathlib import Path

import pytest

from attestrain.corpus.build import build_dataset, build_from_documents
from attestrain.corpus.config import CorpusConfig
from attestrain.corpus.dataset import Dataset
from attestrain.corpus.sources import Document, slice_documents
from attestrain.errors import UsageError
from attestrain.record.canonical import canonical, parse
from attestrain.record.dataset import SPLITS
from attestrain.record.digest import sha256

DOCUMENTS = [Document(f"{i}.txt", bytes([65 + i]) * (40 + i)) for i in range(10)]
SMALL = CorpusConfig(sequence_tokens=8)
BPE = CorpusConfig(sequence_tokens=4, tokenizer="bpe", vocab=270)

SLICE_TRAIN_ROOT = "9633232601a4f28c067e06790ab44e68c6f6544fa509fd3c7a14206fe082eab7"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_slice_has_the_same_root_everywhere(tmp_path: Path):
    assert build_dataset(CorpusConfig(source="slice"), tmp_path).train.root.hex() == SLICE_TRAIN_ROOT


def test_a_folder_holds_what_its_manifest_says(tmp_path: Path):
    manifest = build_from_documents(DOCUMENTS, SMALL, tmp_path)
    files = contents(tmp_path)
    expected = {"manifest.json", "documents.json", *(f"{s}.{kind}" for s in SPLITS for kind in ("tokens", "leaves"))}
    assert files.keys() == expected
    assert files["manifest.json"] == canonical(manifest.to_json())
    assert sum(len(files[f"{split}.tokens"]) for split in SPLITS) == sum(len(item.text) for item in DOCUMENTS)
    listed = parse(files["documents.json"])["documents"]
    assert {item["name"]: item["sha256"] for item in listed} == {d.name: sha256(d.text).hex() for d in DOCUMENTS}
    train = b"".join(dict((d.name, d.text) for d in DOCUMENTS)[d["name"]] for d in listed if d["split"] == "train")
    assert train == files["train.tokens"]


@pytest.mark.parametrize("config", [SMALL, BPE])
def test_the_same_input_gives_the_same_bytes(tmp_path: Path, config: CorpusConfig):
    first = build_from_documents(DOCUMENTS, config, tmp_path / "a")
    second = build_from_documents(reversed(DOCUMENTS), config, tmp_path / "b")
    assert first.digest == second.digest
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize(
    "change",
    [{"sequence_tokens": 9}, {"salt": "11" * 32}, {"name": "x"}, {"tokenizer": "bpe", "vocab": 260}, {"test": "0.2"}],
)
def test_any_setting_changes_the_digest(tmp_path: Path, change: dict[str, object]):
    other = CorpusConfig.model_validate({"sequence_tokens": 8, **change})
    first = build_from_documents(DOCUMENTS, SMALL, tmp_path / "a")
    assert first.digest != build_from_documents(DOCUMENTS, other, tmp_path / "b").digest


def test_a_finished_folder_is_left_alone(tmp_path: Path):
    build_from_documents(DOCUMENTS, SMALL, tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    build_from_documents(DOCUMENTS, SMALL, tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["train.tokens", "validation.leaves", "documents.json", "tokenizer.json"])
@pytest.mark.parametrize("damage", [b"", b"garbage"])
def test_damaged_files_are_made_again(tmp_path: Path, name: str, damage: bytes):
    build_from_documents(DOCUMENTS, BPE, tmp_path)
    good = contents(tmp_path)
    (tmp_path / name).write_bytes(damage)
    build_from_documents(DOCUMENTS, BPE, tmp_path)
    assert contents(tmp_path) == good


def test_a_folder_without_manifest_is_completed(tmp_path: Path):
    build_from_documents(DOCUMENTS, SMALL, tmp_path)
    good = contents(tmp_path)
    for name in ("manifest.json", "test.tokens"):
        (tmp_path / name).unlink()
    build_from_documents(DOCUMENTS, SMALL, tmp_path)
    assert contents(tmp_path) == good


@pytest.mark.parametrize("text", [None, b"{}"])
def test_another_datasets_folder_is_not_overwritten(tmp_path: Path, text: bytes | None):
    build_from_documents(DOCUMENTS[1:], SMALL, tmp_path)
    if text is not None:
        (tmp_path / "manifest.json").write_bytes(text)
    before = contents(tmp_path)
    with pytest.raises(UsageError, match="another dataset"):
        build_from_documents(DOCUMENTS, SMALL, tmp_path)
    assert contents(tmp_path) == before


def test_a_secret_salt_is_kept_from_other_users(tmp_path: Path):
    secret = CorpusConfig(sequence_tokens=8, salt="5a" * 32)
    manifest = build_from_documents(DOCUMENTS, secret, tmp_path)
    assert stat.S_IMODE((tmp_path / "salt").stat().st_mode) == 0o600
    assert manifest.salt == "secret"
    assert "5a5a" not in json.dumps(manifest.to_json())
    Dataset.open(tmp_path).check()


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([], "no text"),
        ([Document("a", b"x" * 100), Document("a", b"y")], "two documents"),
        ([Document("a", b"12345678")], "train split has"),
        ([Document("a", b"x" * 100)], "validation split has 5 tokens"),
    ],
)
def test_unusable_documents_are_usage_errors(tmp_path: Path, documents: list[Document], message: str):
    with pytest.raises(UsageError, match=message):
        build_from_documents(documents, SMALL, tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_splits_that_nobody_wants_are_empty(tmp_path: Path):
    config = CorpusConfig(sequence_tokens=8, validation=Decimal(0), test=Decimal(0))
    manifest = build_from_documents([Document("a", b"123456789")], config, tmp_path)
    assert [info.sequences for _, info in manifest.splits()] == [1, 0, 0]
    dataset = Dataset.open(tmp_path)
    dataset.check()
    assert dataset.split("test").sequences == 0


def test_wide_tokens_come_back_as_the_text(tmp_path: Path):
    config = CorpusConfig(source="slice", tokenizer="bpe", vocab=300, sequence_tokens=64)
    documents = list(slice_documents())[:5]
    manifest = build_from_documents(documents, config, tmp_path)
    dataset = Dataset.open(tmp_path)
    train = dataset.split("train")
    tokens = [int(token) for i in range(train.sequences) for token in train.sequence(i)[:-1]]
    listed = [
        d["name"] for d in parse((tmp_path / "documents.json").read_bytes())["documents"] if d["split"] == "train"
    ]
    text = b"".join(document.text for document in documents if document.name in listed)
    assert manifest.token_bytes == 2
    assert text.startswith(dataset.tokenizer().decode(tokens))
    assert manifest.train.bytes == len(text)
