"""The import contracts of pyproject.toml hold, and planted violations break them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = "imports point down, and every new package has a place"
PURE = "the verifier never reaches engines, services or the terminal"


def lint(root: Path) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(root / "src"), "NO_COLOR": "1"}
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    result = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """The package tree with every module emptied, so that only what a test plants can break a contract."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    package = ROOT / "src" / "attestrain"
    for file in [*package.glob("*.py"), *package.glob("*/__init__.py")]:
        target = tmp_path / "src" / "attestrain" / file.relative_to(package)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    return tmp_path


def plant(house: Path, module: str, source: str) -> None:
    file = house / "src" / "attestrain" / module
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)


def test_the_package_keeps_its_contracts() -> None:
    code, output = lint(ROOT)
    assert code == 0, output


def test_empty_house_keeps_its_contracts(house: Path) -> None:
    assert lint(house)[0] == 0


@pytest.mark.parametrize(
    ("module", "source", "broken"),
    [
        ("verify/planted.py", "import attestrain.corpus", [LAYERS]),
        ("record/planted.py", "import attestrain.rules", [LAYERS]),
        ("appraise/planted.py", "import attestrain.update", [LAYERS]),
        ("train/planted.py", "import attestrain.settle", [LAYERS]),
        ("report/planted.py", "import attestrain.run", [LAYERS]),
        ("record/planted.py", "def later():\n    import torch", [PURE]),
        ("verify/planted.py", "import rich.console", [PURE]),
        ("errors.py", "import pydantic", [PURE]),
    ],
)
def test_planted_import_breaks_the_contract(house: Path, module: str, source: str, broken: list[str]) -> None:
    plant(house, module, source)
    code, output = lint(house)
    assert code == 1
    assert [name for name in (LAYERS, PURE) if f"{name} BROKEN" in output] == broken


def test_indirect_import_breaks_both(house: Path) -> None:
    plant(house, "train/engine.py", "import torch")
    plant(house, "rules/planted.py", "import attestrain.train.engine")
    code, output = lint(house)
    assert code == 1
    assert f"{LAYERS} BROKEN" in output
    assert f"{PURE} BROKEN" in output


def test_new_package_needs_a_place(house: Path) -> None:
    plant(house, "market/__init__.py", "")
    code, output = lint(house)
    assert code == 1
    assert "market" in output
