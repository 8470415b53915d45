from __future__ import annotations

import os
import time
from contextlib import closing

import pytest

from attestrain.errors import FormatError
from attestrain.record.blob import blob_ref
from attestrain.record.digest import sha256
from attestrain.record.names import Round
from attestrain.run.journal import Journal, Slot


def make_slot(number: int, salt: bytes = b"") -> Slot:
    name = b"%d" % number + salt
    states = [{"params": blob_ref(part + name), "cursor": blob_ref(b"c" + part + name)} for part in (b"in", b"out")]
    return Slot(Round(number), sha256(name), blob_ref(b"trace" + name), blob_ref(b"update" + name), *states)


def test_what_was_journalled_is_there_when_it_is_opened_again(tmp_path):
    with closing(Journal(tmp_path)) as journal:
        for number in (0, 2, 10):
            journal.put(make_slot(number))
    with closing(Journal(tmp_path)) as again:
        assert again.get(Round(2)) == make_slot(2)
        assert again.get(Round(1)) is None
        assert again.between(1, 10) == [make_slot(2), make_slot(10)]


def test_a_slot_is_never_given_to_other_work(tmp_path):
    with closing(Journal(tmp_path)) as journal:
        journal.put(make_slot(3))
        journal.put(make_slot(3))
        with pytest.raises(FormatError, match="other work"):
            journal.put(make_slot(3, b"other"))
        assert journal.get(Round(3)) == make_slot(3)


def test_leftovers_of_a_crash_are_passed_over_and_damage_is_not(tmp_path):
    with closing(Journal(tmp_path)) as journal:
        journal.put(make_slot(0))
    (tmp_path / ".000001.json.abc.tmp").write_bytes(b"{")
    with closing(Journal(tmp_path)) as journal:
        assert journal.get(Round(1)) is None
    (tmp_path / "000001.json").write_bytes(b"{}")
    with pytest.raises(FormatError):
        Journal(tmp_path)


def test_a_successor_waits_until_the_process_before_it_has_ended(tmp_path):
    ready, held = os.pipe()
    pid = os.fork()
    if pid == 0:
        journal = Journal(tmp_path)
        os.write(held, b"!")
        time.sleep(0.3)
        journal.put(make_slot(7))
        os._exit(0)
    os.read(ready, 1)
    with closing(Journal(tmp_path)) as journal:
        assert journal.get(Round(7)) == make_slot(7)
    assert os.waitpid(pid, 0) == (pid, 0)
    os.close(ready)
    os.close(held)
