"""The documentation check finds what it promises to find."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import typer

from tools import check_docs


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "limits.md").write_text(
        "# Limits\n\n## What is `simulated`, today?\n\n```sh\n# no heading\n```\n"
    )
    return tmp_path


def page(repository: Path, text: str) -> list[str]:
    (repository / "README.md").write_text(text)
    return check_docs.check(repository, None)


@pytest.mark.parametrize(
    "text",
    [
        "[limits](docs/limits.md)",
        "[simulated](docs/limits.md#what-is-simulated-today)",
        "[folder](docs)",
        "# Here\n\n[up](#here)",
        "[elsewhere](https://example.com/absent.md)",
        "`[code](absent.md)`",
        "```\n[code](absent.md)\n```",
    ],
)
def test_good_links_pass(repository: Path, text: str) -> None:
    assert page(repository, text) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[gone](docs/absent.md)", "no such file"),
        ("![picture](flow.svg)", "no such file"),
        ("[gone](docs/limits.md#absent)", "no such heading"),
        ("[comment](docs/limits.md#no-heading)", "no such heading"),
        ("[gone](#absent)", "no such heading"),
    ],
)
def test_broken_links_are_found(repository: Path, text: str, reason: str) -> None:
    (finding,) = page(repository, text)
    assert finding.startswith("README.md: link to ")
    assert finding.endswith(reason)


@pytest.mark.parametrize("folder", ["home/ann", "root/x", "Users/ann", "work/main"])
def test_machine_paths_are_found(repository: Path, folder: str) -> None:
    assert page(repository, f"run it in /{folder}/attestrain") == [
        f"README.md:1: path of one machine: /{folder}/attestrain",
    ]


@pytest.mark.parametrize(
    "text", ["https://example.com/home/page", "src/opt/x", "a/root/b", "$HOME/root/x", "/usr/bin/env"]
)
def test_other_paths_pass(repository: Path, text: str) -> None:
    assert page(repository, text) == []


def test_ignored_files_are_not_read(repository: Path) -> None:
    (repository / ".gitignore").write_text("/runs/\n")
    (repository / "runs").mkdir()
    (repository / "runs" / "notes.md").write_text("[gone](absent.md)\n")
    assert check_docs.check(repository, None) == []


def test_stale_command_page_is_found(repository: Path) -> None:
    stale = ["docs/cli.md differs from the commands' help: run `make docs`"]
    assert check_docs.check(repository, "# Command line\n") == stale
    (repository / "docs" / "cli.md").write_text("# Command line\n")
    assert check_docs.check(repository, "# Command line\n") == []
    assert check_docs.check(repository, "# Command line, changed\n") == stale


def test_page_holds_every_visible_command() -> None:
    app = typer.Typer(help="A tool.", rich_markup_mode=None)
    keys = typer.Typer(help="Key files.", rich_markup_mode=None)
    app.add_typer(keys, name="keys")
    keys.command("new", help="Make a key.")(lambda: None)
    app.command("verify", help="Check a bundle.")(lambda: None)
    app.command("secret", hidden=True)(lambda: None)
    text = check_docs.render(app)
    titles = [line for line in text.splitlines() if line.startswith("## ")]
    assert sorted(titles) == ["## attestrain", "## attestrain keys", "## attestrain keys new", "## attestrain verify"]
    assert "Make a key." in text
    assert text == check_docs.render(app)
