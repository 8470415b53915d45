from __future__ import annotations

import sys

import pytest

from tools import cheat_seeds


@pytest.mark.slow
def test_over_many_seeds_every_cheat_is_caught_and_no_honest_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["cheat_seeds.py"])
    assert cheat_seeds.main() == 0
