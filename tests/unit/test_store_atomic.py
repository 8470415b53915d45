from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys

import pytest

from attestrain.store.atomic import write_atomic


def test_writes_and_replaces_with_the_asked_mode(tmp_path):
    path = tmp_path / "file"
    for data, mode in ((b"old", 0o644), (b"", 0o600), (bytearray(b"new"), 0o640)):
        write_atomic(path, data, mode=mode)
        assert path.read_bytes() == data
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert os.listdir(tmp_path) == ["file"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    folder = tmp_path / "target"
    folder.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomic(folder, b"data")
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "missing" / "file", b"data")
    assert os.listdir(tmp_path) == ["target"]


def test_long_names_have_room(tmp_path):
    path = tmp_path / ("x" * 255)
    write_atomic(path, b"data")
    assert path.read_bytes() == b"data"


def test_kill_9_leaves_one_of_the_whole_files(tmp_path):
    program = """
import pathlib, sys
from attestrain.store.atomic import write_atomic
path = pathlib.Path(sys.argv[1])
for i in range(10**9):
    write_atomic(path, bytes([i % 256]) * 100_000)
    print(i, flush=True)
"""
    path = tmp_path / "file"
    child = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    for _ in range(10):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.communicate()
    data = path.read_bytes()
    assert len(data) == 100_000
    assert len(set(data)) == 1
