from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.cli.conftest import Call, Honest


def test_a_report_lies_beside_its_bundle(call: Call, honest: Honest, tmp_path: Path) -> None:
    shutil.copytree(honest.bundle.parent, tmp_path / "run")
    result = call("report", tmp_path / "run")
    assert result.code == 0
    assert "VERIFIED" in result.out
    assert "found beside the bundle" in result.err
    assert (tmp_path / "run" / "report.html").read_text().startswith("<!doctype html>")


def test_a_report_of_a_bundle_goes_where_it_is_asked(call: Call, honest: Honest, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    result = call("report", honest.bundle, "--policy", honest.policy, "--out", out, "--json")
    document = json.loads(result.out)
    assert (result.code, document["verdict"], document["policy"]) == (0, "VERIFIED", str(honest.policy))
    assert document["bytes"] == out.stat().st_size
    assert not (honest.bundle.parent / "report.html").exists()


def test_a_report_without_pins_says_so(call: Call, honest: Honest, tmp_path: Path) -> None:
    shutil.copytree(honest.bundle, tmp_path / "bundle")
    result = call("report", tmp_path / "bundle")
    assert result.code == 0
    assert "CONSISTENT" in result.out
    assert "no policy" in result.err


def test_a_lie_has_a_report_that_calls_it_one(call: Call, honest: Honest, tmp_path: Path) -> None:
    assert call("tamper", honest.bundle, "--lie", "poison-model", "--out", tmp_path / "forged").code == 0
    result = call("report", tmp_path / "forged", "--policy", honest.policy)
    assert result.code == 0
    assert "REFUTED" in result.out
    assert "The bundle contradicts claim (11)" in (tmp_path / "report.html").read_text()


def test_a_report_cannot_be_written_nowhere_or_of_nothing(call: Call, honest: Honest, tmp_path: Path) -> None:
    nowhere = call("report", honest.bundle, "--out", tmp_path / "no" / "such" / "folder.html")
    assert (nowhere.code, nowhere.out) == (2, "")
    assert "cannot write" in nowhere.err
    nothing = call("report", tmp_path)
    assert (nothing.code, nothing.out) == (2, "")
    assert "neither a run folder nor a bundle" in nothing.err
    assert "hint:" in nothing.err
    assert call("report", honest.bundle, "--policy", tmp_path / "none.toml").code == 2
