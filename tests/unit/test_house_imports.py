"""The verifier's side of the package runs on a machine that has none of the engines (DESIGN section 7)."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import attestrain

PACKAGE = Path(attestrain.__file__).parent
PURE = ("errors", "record", "rules", "update", "appraise", "verify")
ALLOWED = {"attestrain", "numpy", "coincurve", "Crypto", "cryptography", "dcap_qvl"}
ABSENT = ("torch", "web3", "fastapi", "httpx", "rich", "typer", "pydantic", "pyarrow", "tokenizers", "safetensors")

IMPORT_ALL = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    sys.modules[name] = None            # as on a machine without it: importing it fails
for module in json.loads(sys.argv[2]):
    importlib.import_module(module)
print(len(json.loads(sys.argv[2])))
"""


def pure_files() -> list[Path]:
    return sorted(file for name in PURE for file in [*PACKAGE.glob(f"{name}.py"), *(PACKAGE / name).rglob("*.py")])


def module_name(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_pure_packages_import_without_engines() -> None:
    modules = [module_name(file) for file in pure_files()]
    command = [sys.executable, "-c", IMPORT_ALL, json.dumps(ABSENT), json.dumps(modules)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) == len(modules) >= len(PURE)


def test_pure_packages_name_only_allowed_libraries() -> None:
    foreign = {
        (file.name, name) for file in pure_files() for name in imported(file) - ALLOWED - set(sys.stdlib_module_names)
    }
    assert foreign == set()


def test_the_quote_library_is_loaded_by_the_first_quote_and_not_before() -> None:
    code = "import sys, attestrain.verify.verifier, attestrain.appraise.appraisal; print('dcap_qvl' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
