from __future__ import annotations

import io
import sys

import pytest

from attestrain.cli.live import LineView, following
from attestrain.cli.terminal import clean, colourful, complain, paint, shown_bytes, table_lines
from attestrain.report.events import Line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_only_on_a_terminal_that_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert paint("PASS", "good", Terminal()) == "\x1b[32mPASS\x1b[0m"
    assert paint("PASS", "good", io.StringIO()) == "PASS"
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colourful(Terminal())


def test_tables_fit_their_width_and_keep_every_word() -> None:
    detail = "a long detail " * 20
    lines = table_lines(("a", "b"), [("x", detail), ("yyyy", "short")], 60, io.StringIO())
    assert max(map(len, lines)) <= 60
    assert " ".join(lines).split().count("detail") == 20
    assert lines[-1] == "yyyy  short"


def test_control_characters_do_not_reach_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert clean("a\x1b[2Jb\x9b\x07\n\tc") == "a�[2Jb��\n\tc"
    complain("bad \x1b]0;x\x07", "hint \x1b")
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (46_100, "46.1 kB"), (566_016_000, "566 MB"), (2e15, "2000 TB")]
)
def test_bytes_as_people_say_them(count: float, text: str) -> None:
    assert shown_bytes(count) == text


def test_the_line_view_tells_rounds_and_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert not sys.stderr.isatty()
    with following(quiet=False) as view:
        assert isinstance(view, LineView)
        start = {"run": "ab" * 32, "name": "t", "rounds": 2, "steps": 3, "workers": 2, "allreduce": 2000}
        for line in (
            Line("start", 1.0, start),
            Line("segment", 2.0, {"worker": 1, "round": 0, "phase": "inner", "tokens": 50, "seconds": 1.0}),
            Line("published", 3.0, {"worker": 1, "round": 0, "bytes": 10}),
            Line("evaluated", 4.0, {"round": 0, "loss": 2.5}),
            Line("excluded", 5.0, {"worker": 1, "round": 0, "segment": 2, "detail": "step 6: loss"}),
        ):
            view.on_event(line)  # type: ignore[arg-type]
    told = capsys.readouterr().err
    assert "round 0 done, 1 of 2  validation loss 2.5000" in told
    assert "100x less than AllReduce" in told
    assert "worker 1 caught in round 0, segment 2: step 6: loss" in told


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with following(quiet=True) as view:
        view.on_event(Line("start", 1.0, {"workers": 1}))  # type: ignore[arg-type]
    assert capsys.readouterr() == ("", "")
    assert list(view.story.workers) == [0]
