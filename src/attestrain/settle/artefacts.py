"""Contract artefacts as they ship with the package: interface and code, made by `tools/contracts.py`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from attestrain.record.eip712 import keccak256
from attestrain.verify.chain import SOURCES

Types = tuple[str, ...]
"""Solidity types of arguments or results."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """A contract: its creation code and what can be called."""

    name: str
    bytecode: bytes
    abi: tuple[dict[str, Any], ...]

    def function(self, name: str) -> tuple[bytes, Types, Types]:
        """Selector, argument types and result types of a function."""
        entry = next(item for item in self.abi if item["type"] == "function" and item["name"] == name)
        return _selector(entry), _types(entry["inputs"]), _types(entry["outputs"])

    def event(self, name: str) -> tuple[bytes, list[dict[str, Any]]]:
        """Topic and members of an event."""
        entry = next(item for item in self.abi if item["type"] == "event" and item["name"] == name)
        return keccak256(_signature(entry)), entry["inputs"]

    def constructor(self) -> Types:
        """Argument types of the constructor."""
        return next((_types(item["inputs"]) for item in self.abi if item["type"] == "constructor"), ())


@cache
def load(contract: str) -> Artefact:
    """The artefact of a contract by what the package calls it, such as "ledger"."""
    name = SOURCES[contract]
    data = json.loads(files("attestrain").joinpath("data", "contracts", f"{name}.json").read_text("ascii"))
    return Artefact(name, bytes.fromhex(data["bytecode"][2:]), tuple(data["abi"]))


@cache
def error_names() -> dict[bytes, str]:
    """Names of the contracts' errors by selector."""
    entries = (item for contract in SOURCES for item in load(contract).abi if item["type"] == "error")
    return {_selector(entry): str(entry["name"]) for entry in entries}


def _types(members: list[dict[str, Any]]) -> Types:
    return tuple(str(member["type"]) for member in members)


def _signature(entry: dict[str, Any]) -> bytes:
    return f"{entry['name']}({','.join(_types(entry['inputs']))})".encode("ascii")


def _selector(entry: dict[str, Any]) -> bytes:
    return keccak256(_signature(entry))[:4]
