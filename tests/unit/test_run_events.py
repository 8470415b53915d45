from __future__ import annotations

import json
from contextlib import closing

from attestrain.run.events import Event, EventLog


def test_events_are_lines_and_reach_the_watcher(tmp_path):
    seen: list[Event] = []
    with closing(EventLog(tmp_path / "events", seen.append)) as log:
        log.emit("round-open", round=1)
        log.emit("round-open", round=2)
        log.emit("evaluated", round=1, loss=None)
        assert log.latest("round-open") == {"round": 2}
        assert log.latest("finish") is None
    lines = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [(line["kind"], line["round"]) for line in lines] == [(e.kind, e.data["round"]) for e in seen]


def test_an_unfinished_line_is_dropped_when_the_log_is_opened_again(tmp_path):
    path = tmp_path / "events"
    with closing(EventLog(path, lambda event: None)) as log:
        log.emit("solo", loss=1.5, last=True)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"time": 1, "ki')
    with closing(EventLog(path, lambda event: None)) as log:
        solo = log.latest("solo")
        assert solo is not None
        assert solo["loss"] == 1.5
        assert path.read_bytes() == whole
        log.emit("next")
    assert len(path.read_bytes().splitlines()) == 2
