"""The quick demonstration as a user starts it: it says itself what did not go as it should."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cli.conftest import PROGRAM


def test_the_quick_demo_beats_one_worker_alone_catches_the_cheat_and_verifies(tmp_path: Path) -> None:
    command = [*PROGRAM, "demo", "--quick"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the run beat one worker alone, the cheat was caught, the bundle is verified" in done.stdout + done.stderr
