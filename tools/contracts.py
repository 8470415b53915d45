"""Build the contracts' artefacts, or check that a rebuild gives the same bytes.

    python tools/contracts.py build            writes src/attestrain/data/contracts
    python tools/contracts.py check            rebuilds and compares, byte for byte

Needs node and npm; users of the package need neither. Versions are exact (contracts/package-lock.json) and the bytecode
carries no metadata, so equal sources give equal bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from Crypto.Hash import keccak

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "contracts"
TARGET = ROOT / "src/attestrain/data/contracts"
NAMES = ("RunLedger", "StakeVault", "ParticipantRegistry", "Cases", "Settlement")
SETTINGS: dict[str, Any] = {
    "evmVersion": "cancun",
    "optimizer": {"enabled": True, "runs": 10_000},
    "metadata": {"bytecodeHash": "none", "appendCBOR": False},
    "outputSelection": {
        "*": {
            "*": [
                "abi",
                "evm.bytecode.object",
                "evm.deployedBytecode.object",
                "evm.deployedBytecode.immutableReferences",
                "storageLayout",
            ]
        }
    },
}
MAX_CODE = 24_576
"""Largest contract, in bytes (EIP-170)."""


def main() -> int:
    """Build or check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("build", "check"))
    task = parser.parse_args().task
    built = build()
    if task == "build":
        TARGET.mkdir(parents=True, exist_ok=True)
        for name, data in built.items():
            (TARGET / name).write_bytes(data)
        print(f"wrote {len(built)} files to {TARGET.relative_to(ROOT)}")
        return 0
    different = [
        name for name, data in built.items() if not (TARGET / name).is_file() or (TARGET / name).read_bytes() != data
    ]
    if different:
        print(
            f"error: {', '.join(different)} differ from a rebuild\nhint: python tools/contracts.py build",
            file=sys.stderr,
        )
        return 1
    print(f"{len(built)} files are what a rebuild gives")
    return 0


def build() -> dict[str, bytes]:
    """The files of the artefacts' folder, by name."""
    install()
    sources = read_sources()
    version, output = compile_sources(sources)
    files = {f"{name}.json": _artefact(name, output["contracts"][f"src/{name}.sol"][name]) for name in NAMES}
    manifest = {
        "compiler": version,
        "settings": {key: value for key, value in SETTINGS.items() if key != "outputSelection"},
        "sources": {path: hashlib.sha256(text.encode()).hexdigest() for path, text in sorted(sources.items())},
        "artefacts": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
    }
    return {**files, "build.json": _json(manifest)}


def install() -> None:
    """Install the compiler and the libraries at their locked versions, unless they are there."""
    if (CONTRACTS / "node_modules/solc").is_dir() and (CONTRACTS / "node_modules/@openzeppelin/contracts").is_dir():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit(
            "error: npm is not installed\nhint: install node 18 or newer; users of the package need neither"
        )
    subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=CONTRACTS, check=True)


def read_sources() -> dict[str, str]:
    """Our sources and the library's they import, by the names under which they are compiled."""
    found = {f"src/{path.name}": path.read_text("utf-8") for path in sorted((CONTRACTS / "src").glob("*.sol"))}
    waiting = list(found)
    while waiting:
        name = waiting.pop()
        for line in found[name].splitlines():
            if line.startswith("import"):
                path = line.split('"')[1]
                path = path if not path.startswith(".") else _resolved(name, path)
                if path not in found:
                    found[path] = (CONTRACTS / "node_modules" / path).read_text("utf-8")
                    waiting.append(path)
    return found


def _resolved(importer: str, path: str) -> str:
    parts = importer.split("/")[:-1]
    for part in path.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def compile_sources(sources: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """The compiler's version and output.

    Raises:
        SystemExit: it reports an error or a warning about our own sources.
    """
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": SETTINGS,
    }
    done = subprocess.run(
        ["node", "compile.js"], cwd=CONTRACTS, input=json.dumps(request), capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout)
    problems = [item["formattedMessage"] for item in answer["output"].get("errors", [])]
    if problems:
        raise SystemExit("\n".join(problems))
    return answer["version"], answer["output"]


def _artefact(name: str, contract: dict[str, Any]) -> bytes:
    runtime = bytes.fromhex(contract["evm"]["deployedBytecode"]["object"])
    if len(runtime) > MAX_CODE:
        raise SystemExit(f"error: {name} has {len(runtime)} bytes, more than {MAX_CODE}")
    if contract["evm"]["deployedBytecode"]["immutableReferences"]:
        raise SystemExit(f"error: {name} has immutables, so its deployments would have other code than its artefact")
    layout = contract["storageLayout"]
    storage = [{key: item[key] for key in ("label", "slot", "offset")} for item in layout["storage"]]
    return _json(
        {
            "name": name,
            "abi": contract["abi"],
            "bytecode": "0x" + contract["evm"]["bytecode"]["object"],
            "runtime": "0x" + runtime.hex(),
            "code_hash": keccak.new(data=runtime, digest_bits=256).hexdigest(),
            "storage": storage,
            "members": _members(layout),
        }
    )


def _members(layout: dict[str, Any]) -> dict[str, Any]:
    """How the values of mappings to structs are packed: word, byte and type of every member, by mapping."""
    found = {}
    for item in layout["storage"]:
        value = layout["types"].get(layout["types"][item["type"]].get("value"), {})
        if "members" in value:
            found[item["label"]] = [
                {
                    "label": member["label"],
                    "slot": int(member["slot"]),
                    "offset": member["offset"],
                    "type": layout["types"][member["type"]]["label"],
                }
                for member in value["members"]
            ]
    return found


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


if __name__ == "__main__":
    sys.exit(main())
