from __future__ import annotations

import json
import platform
import sysconfig
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attestrain.corpus import sources
from attestrain.corpus.config import CorpusConfig
from attestrain.corpus.sources import Document, collect, library_documents, load_corpus, slice_documents
from attestrain.errors import FormatError, UsageError


def load(source: str, *paths: Path, **more: object) -> list[tuple[str, bytes]]:
    config = CorpusConfig.model_validate({"source": source, "paths": [str(path) for path in paths], **more})
    return [(document.name, document.text) for document in load_corpus(config).documents]


def test_the_builtin_corpus_is_this_pythons_library():
    corpus = load_corpus(CorpusConfig())
    names = [document.name for document in corpus.documents]
    assert names == sorted(set(names))
    assert {"asyncio/base_events.py", "dataclasses.py"} <= set(names)
    assert not any(part in name for name in names for part in ("site-packages", "test_", "_sysconfigdata", "idlelib"))
    assert 300 < len(names) < 500
    assert 6_000_000 < sum(len(document.text) for document in corpus.documents) < 10_000_000
    assert (corpus.name, corpus.licence) == (f"python-{platform.python_version()}", "PSF-2.0")


def test_library_documents_skip_excluded_and_machine_made_parts(tmp_path: Path):
    for name in ("a.py", "pkg/b.py", "pkg/tests/t.py", "test/x.py", "config-3/y.py", "_sysconfigdata_x.py", "c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("pass")
    assert sorted(document.name for document in library_documents(tmp_path)) == ["a.py", "pkg/b.py"]


def test_the_slice_is_the_frozen_megabyte():
    documents = list(slice_documents())
    assert len(documents) == 71
    assert sum(len(document.text) for document in documents) == 999_989
    if platform.python_version() == "3.11.7" and platform.python_implementation() == "CPython":
        library = {item.name: item.text for item in library_documents(Path(sysconfig.get_path("stdlib")))}
        assert all(library[item.name] == item.text for item in documents)


def test_a_swapped_slice_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "SLICE_DIGEST", "0" * 64)
    with pytest.raises(FormatError, match="not the released one"):
        list(slice_documents())


def test_text_files_are_read_as_they_are(tmp_path: Path):
    (tmp_path / "b.txt").write_bytes(b"\xff\x00\r\n")
    (tmp_path / "a.txt").write_bytes(b"one")
    (tmp_path / "empty.txt").write_bytes(b"")
    assert load("text", tmp_path / "*.txt") == [("a.txt", b"one"), ("b.txt", b"\xff\x00\r\n")]


def test_paths_stay_out_of_what_is_published(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"one")
    corpus = load_corpus(CorpusConfig(source="text", paths=(str(tmp_path / "a.txt"),)))
    assert tmp_path.name not in corpus.source + corpus.name
    assert corpus.licence == "unstated"


def test_the_run_file_can_name_the_corpus(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"one")
    config = CorpusConfig(source="text", paths=(str(tmp_path),), name="poems", licence="CC0-1.0", origin="my attic")
    corpus = load_corpus(config)
    assert (corpus.name, corpus.licence, corpus.source) == ("poems", "CC0-1.0", "my attic")


def test_jsonl_gives_one_document_per_line_in_line_order(tmp_path: Path):
    lines = [json.dumps({"body": f"line {i}"}) for i in range(1, 12)]
    (tmp_path / "a.jsonl").write_text("\n\n".join(lines) + "\n")
    found = load("jsonl", tmp_path / "a.jsonl", field="body")
    assert [text for _, text in found] == [f"line {i}".encode() for i in range(1, 12)]
    assert found[1][0] == "a.jsonl#000000003"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "line 1 is not JSON"),
        (b"[1]", "no field 'text'"),
        (b'{"body": "x"}', "no field 'text'"),
        (b'{"text": 7}', "int where text"),
        (b'{"text": "\\ud800"}', "lone surrogate"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_bad_jsonl_lines_are_named(tmp_path: Path, line: bytes, message: str):
    (tmp_path / "a.jsonl").write_bytes(line)
    with pytest.raises(FormatError, match=message):
        load("jsonl", tmp_path / "a.jsonl")


@pytest.mark.parametrize(("source", "name"), [("text", "gone.txt"), ("jsonl", "gone.jsonl")])
def test_dangling_links_are_usage_errors(tmp_path: Path, source: str, name: str):
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="cannot read"):
        load(source, tmp_path)


def test_endless_jsonl_lines_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "MAX_LINE", 20)
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "' + b"x" * 30)
    with pytest.raises(FormatError, match="longer than 20"):
        load("jsonl", tmp_path / "a.jsonl")


def test_parquet_gives_one_document_per_row(tmp_path: Path):
    table = pa.table({"text": ["one", None, "three"], "raw": [b"\xff", b"b", b"c"], "n": [1, 2, 3]})
    pq.write_table(table, tmp_path / "t.parquet")
    assert load("parquet", tmp_path) == [
        (f"{tmp_path.name}/t.parquet#000000001", b"one"),
        (f"{tmp_path.name}/t.parquet#000000003", b"three"),
    ]
    assert [text for _, text in load("parquet", tmp_path, field="raw")] == [b"\xff", b"b", b"c"]
    with pytest.raises(UsageError, match="no column 'prose'") as caught:
        load("parquet", tmp_path, field="prose")
    assert "text, raw, n" in str(caught.value.hint)
    with pytest.raises(FormatError, match="int where text"):
        load("parquet", tmp_path, field="n")


def test_a_broken_parquet_file_is_a_format_error(tmp_path: Path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(FormatError, match="not a readable parquet"):
        load("parquet", tmp_path / "t.parquet")


def test_max_bytes_stops_reading(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"x" * 100)
    with pytest.raises(UsageError, match="larger than 99 bytes"):
        load("text", tmp_path, max_bytes=99)
    assert load("text", tmp_path, max_bytes=100)[0][1] == b"x" * 100


def test_two_documents_of_one_name_are_refused(tmp_path: Path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_bytes(b"one")
    with pytest.raises(UsageError, match=r"called 'a\.txt'"):
        load("text", tmp_path / "x/a.txt", tmp_path / "y/a.txt")


def test_a_corpus_of_empty_documents_is_refused():
    with pytest.raises(UsageError, match="no text"):
        collect([Document("a", b"")], 10)
