from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from attestrain.errors import FormatError, RunFailed, UsageError
from attestrain.record.note import LogKey
from attestrain.record.transcript import Log, read_log
from attestrain.store.log import FILE, MAGIC, DurableLog, encode_record

ENTRIES = [b"first", b"", b"third entry"]


def write(folder: Path, entries: list[bytes]) -> bytes:
    with DurableLog(folder) as log:
        for entry in entries:
            log.append(entry)
    return (folder / FILE).read_bytes()


def test_entries_survive_reopening(tmp_path):
    data = write(tmp_path / "log", ENTRIES)
    assert data == MAGIC + b"".join(map(encode_record, ENTRIES))
    with DurableLog(tmp_path / "log") as log:
        assert list(log.entries()) == ENTRIES
        assert log.root() == Log(ENTRIES).root()
        assert log.append(b"fourth") == 3
    with DurableLog(tmp_path / "log") as log:
        assert list(log.entries()) == [*ENTRIES, b"fourth"]


def test_a_last_record_cut_at_any_byte_is_dropped_and_the_log_goes_on(tmp_path):
    kept = len(write(tmp_path, ENTRIES))
    whole = write(tmp_path, [b"torn"])
    for end in range(kept, len(whole)):
        (tmp_path / FILE).write_bytes(whole[:end])
        with DurableLog(tmp_path) as log:
            assert list(log.entries()) == ENTRIES
            assert log.append(b"next") == 3
        assert (tmp_path / FILE).read_bytes() == whole[:kept] + encode_record(b"next")


def test_a_last_record_whose_end_reads_as_zeros_is_dropped(tmp_path):
    # What a file system leaves that grew the file before the data arrived. The head is eight bytes and lies in one
    # sector as good as always; the checksum comes last.
    kept = len(write(tmp_path, ENTRIES))
    whole = write(tmp_path, [b"torn"])
    for end in (kept, *range(kept + 8, len(whole) - 3)):
        (tmp_path / FILE).write_bytes(whole[:end].ljust(len(whole), b"\0"))
        with DurableLog(tmp_path) as log:
            assert list(log.entries()) == ENTRIES


def test_a_first_line_cut_at_any_byte_is_written_again(tmp_path):
    for end in range(len(MAGIC)):
        (tmp_path / FILE).write_bytes(MAGIC[:end])
        with DurableLog(tmp_path) as log:
            assert len(log) == 0
        assert write(tmp_path, [b"x"]) == MAGIC + encode_record(b"x")
        (tmp_path / FILE).unlink()


def test_a_flipped_bit_in_an_acknowledged_entry_is_reported_and_never_forgotten(tmp_path):
    whole = write(tmp_path, ENTRIES)
    for at in range(len(whole)):
        for bit in range(8):
            data = whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
            (tmp_path / FILE).write_bytes(data)
            with pytest.raises(FormatError):
                DurableLog(tmp_path)
            assert (tmp_path / FILE).read_bytes() == data


def test_foreign_files_are_refused(tmp_path):
    for data in (b"x", b"something else\n" * 9, MAGIC + b"\xff" * 50, MAGIC + bytes(70_000)):
        (tmp_path / FILE).write_bytes(data)
        with pytest.raises(FormatError):
            DurableLog(tmp_path)
        assert (tmp_path / FILE).read_bytes() == data


def test_a_folder_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be opened"):
        DurableLog(tmp_path / "file")


def test_only_one_process_has_a_log_open_and_its_children_do_not(tmp_path):
    code = "import sys, pathlib; from attestrain.store.log import DurableLog; DurableLog(pathlib.Path(sys.argv[1]))"

    def other() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)

    log = DurableLog(tmp_path)
    assert "open in another process" in other().stderr
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(read_end, 1)
        os._exit(0)
    log.close()
    try:
        assert other().returncode == 0
    finally:
        os.write(write_end, b"x")
        os.waitpid(child, 0)
        os.close(read_end)
        os.close(write_end)


def test_a_refused_entry_leaves_the_log_as_it_was(tmp_path):
    with DurableLog(tmp_path) as log:
        with pytest.raises(FormatError, match="longer than"):
            log.append(b"x" * 65_536)
        assert log.append(b"x") == 0


def test_a_full_disk_closes_the_log_and_reopening_finds_what_is_there(tmp_path):
    # A limit on the size of files this process may write stands in for the full disk.
    program = f"""
import resource, signal, pathlib
from attestrain.errors import RunFailed
from attestrain.store.log import DurableLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = DurableLog(pathlib.Path({str(tmp_path)!r}))
log.append(b"first")
resource.setrlimit(resource.RLIMIT_FSIZE, (60, 60))
for _ in range(2):
    try:
        log.append(b"x" * 100)
    except RunFailed as error:
        print("cannot be written" in str(error), len(log))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["True 1", "True 1"]
    with DurableLog(tmp_path) as log:
        assert list(log.entries()) == [b"first"]


def test_a_closed_log_refuses_to_grow(tmp_path):
    log = DurableLog(tmp_path)
    log.append(b"x")
    log.close()
    log.close()
    with pytest.raises(RunFailed):
        log.append(b"y")
    assert list(log.entries()) == [b"x"]


def test_kill_9_loses_nothing_acknowledged(tmp_path):
    program = """
import pathlib, sys
from attestrain.store.log import DurableLog
with DurableLog(pathlib.Path(sys.argv[1])) as log:
    while True:
        print(log.append(b"entry %d" % len(log)), flush=True)
"""
    acknowledged = -1
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        for _ in range(20):
            acknowledged = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.communicate()[0].split(b"\n")[:-1]
        acknowledged = int(rest[-1]) if rest else acknowledged
        with DurableLog(tmp_path) as log:
            assert len(log) > acknowledged
            assert list(log.entries()) == [b"entry %d" % i for i in range(len(log))]
    assert acknowledged >= 59


def test_export_is_the_static_form_of_the_same_log(tmp_path):
    key = LogKey("example.com/log", bytes(32))
    entries = [b"entry %d" % i for i in range(300)]
    with DurableLog(tmp_path / "log") as log:
        for entry in entries:
            log.append(entry)
        log.export(tmp_path / "bundle", log.checkpoint(key))

    def get(path: str) -> bytes | None:
        file = tmp_path / "bundle" / path
        return file.read_bytes() if file.exists() else None

    read, checkpoint = read_log(get, key.verifier)
    assert list(read.entries()) == entries
    assert checkpoint.size == 300
