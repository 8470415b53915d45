from __future__ import annotations

import os
from pathlib import Path

import pytest

from attestrain.corpus.paths import find_files
from attestrain.errors import UsageError


@pytest.fixture
def books(tmp_path: Path) -> Path:
    folder = tmp_path / "books"
    for name in ("b.txt", "a.txt", "sub/c.txt", "sub/d.md", ".hidden/e.txt", ".f.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def names(*paths: object, suffix: str = "") -> list[str]:
    return [file.name for file in find_files([str(path) for path in paths], suffix=suffix)]


def test_a_file_goes_by_its_own_name_even_hidden(books: Path):
    assert names(books / "b.txt", books / ".f.txt") == [".f.txt", "b.txt"]


def test_a_folder_is_walked_in_order_without_hidden_files(books: Path):
    assert names(books) == ["books/a.txt", "books/b.txt", "books/sub/c.txt", "books/sub/d.md"]
    assert names(books, suffix=".md") == ["books/sub/d.md"]


def test_globs_name_files_below_their_fixed_part(books: Path):
    assert names(books / "*.txt") == ["a.txt", "b.txt"]
    assert names(books / "**/*.txt") == ["a.txt", "b.txt", "sub/c.txt"]
    assert names(books.parent / "*/sub/*.md") == ["books/sub/d.md"]


@pytest.mark.parametrize("path", ["missing.txt", "*.pdf", "b**k/*", "null\0byte"])
def test_paths_that_name_nothing_are_usage_errors(books: Path, path: str):
    with pytest.raises(UsageError):
        names(books / path)


def test_an_empty_folder_is_a_usage_error(tmp_path: Path):
    with pytest.raises(UsageError, match="no readable file") as caught:
        names(tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize("pattern", ["", "*", "**/*"])
def test_links_out_of_the_root_are_refused(books: Path, tmp_path: Path, pattern: str):
    (tmp_path / "secret").write_text("key")
    (books / "link.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(UsageError, match="link out of"):
        names(books / pattern)


def test_linked_folders_are_not_walked_and_links_inside_are_read(books: Path, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x.txt").write_text("x")
    (books / "sub/folder").symlink_to(tmp_path / "elsewhere")
    (books / "sub/again.txt").symlink_to(books / "sub/c.txt")
    assert names(books / "sub") == ["sub/again.txt", "sub/c.txt", "sub/d.md"]


def test_pipes_are_passed_over(books: Path):
    os.mkfifo(books / "pipe.txt")
    assert "books/pipe.txt" not in names(books)
