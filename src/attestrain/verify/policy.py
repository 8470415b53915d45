"""The policy: what a verdict is relative to (spec/policy.md).

Pins are facts that the verifier knows from elsewhere: they never come from the bundle. Guarantees are what the verifier
asks for (DESIGN section 3).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from attestrain.appraise.intel.bodies import IMAGE, TDX_4
from attestrain.errors import FormatError, UsageError
from attestrain.record.canonical import MAX_INTEGER
from attestrain.record.chain import CONTRACTS
from attestrain.record.digest import Digest, parse_digest
from attestrain.record.evidence import REGISTER_SIZE
from attestrain.record.fields import Fields, is_decimal
from attestrain.record.keys import parse_address
from attestrain.record.names import Address, RunId
from attestrain.record.note import VerifierKey, parse_vkey

FORMAT = "attestrain.dev/policy@v1"
MAX_POLICY = 1 << 20
"""Largest policy file: ten thousand auditors fit."""

CHECKED = ("signed", "continuous", "assigned", "aggregated", "replayed")
"""Guarantees of every run, also without a chain and without evidence: what a policy asks for unless it says more."""
ON_CHAIN = ("anchored", "staked", "settled")
"""Guarantees that rest on a chain."""
GUARANTEES = (*CHECKED, "attested", *ON_CHAIN, "available", "scored", "confidential")
"""Every guarantee that a policy may ask for; the last three read unmet until their engines exist."""

_REGISTER = re.compile(f"[0-9a-f]{{{2 * REGISTER_SIZE}}}")
_HINT = "see spec/policy.md for the file's format; `attestrain train` writes one beside the bundle"


@dataclass(frozen=True, slots=True)
class ChainPin:
    """A block that the verifier takes for final, and where the contracts stand.

    Attributes:
        id: of the chain (EIP-155).
        number, block: the block's number and hash.
        contracts: their addresses, by the names of `record.chain.CONTRACTS`. Their code is this package's.
        local: the chain is one machine's own, so that what rests on it reads ``local``.
    """

    id: int
    number: int
    block: Digest
    contracts: Mapping[str, Address]
    local: bool


@dataclass(frozen=True, slots=True)
class Pins:
    """Facts known from elsewhere. An empty field pins nothing, and what rests on it stays self-asserted.

    Attributes:
        run: name of the run.
        transcript_key: key that signs the transcript's checkpoint.
        auditors: accounts that may stand behind the run's auditors.
        checkpoint: digest of the delivered checkpoint.
        chain: the block whose state decides.
        evidence_roots: SHA-256 of development roots of evidence; what hangs from them reads ``simulated``. The roots of
            real hardware need no pin.
        registers: values that registers of a guest may have, by the names of `appraise.intel.bodies`: which firmware
            and image ran. Code of any image can extend the register that holds our events, so hardware evidence shows
            what ran only to whoever pins these.
    """

    run: RunId | None = None
    transcript_key: VerifierKey | None = None
    auditors: tuple[Address, ...] = ()
    checkpoint: Digest | None = None
    chain: ChainPin | None = None
    evidence_roots: tuple[Digest, ...] = ()
    registers: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)

    @property
    def image(self) -> bool:
        """Whether the registers of firmware and image are all pinned."""
        return set(IMAGE) <= self.registers.keys()


@dataclass(frozen=True, slots=True)
class Policy:
    """Pins and required guarantees.

    Attributes:
        pins: facts known from elsewhere.
        guarantees: names out of `GUARANTEES`, all required.
        replayed_fraction: least share of each worker-round's segments that ``replayed`` asks for, a decimal text.
        allow_simulated: guarantees that may rest on something simulated, such as a recorded beacon.
    """

    pins: Pins = field(default_factory=Pins)
    guarantees: tuple[str, ...] = CHECKED
    replayed_fraction: str = "0.25"
    allow_simulated: tuple[str, ...] = ()

    @property
    def fraction(self) -> Fraction:
        """`replayed_fraction` as a number."""
        return Fraction(self.replayed_fraction)

    @classmethod
    def from_toml(cls, text: str) -> Policy:
        """Read a policy file strictly.

        Raises:
            UsageError: not TOML, unknown or malformed fields, an unknown guarantee, or none required.
        """
        if len(text) > MAX_POLICY:
            raise UsageError(f"policy of {len(text)} characters is larger than {MAX_POLICY}", hint=_HINT)
        try:
            return _read(tomllib.loads(text))
        except (tomllib.TOMLDecodeError, FormatError, ValueError, RecursionError) as error:
            raise UsageError(f"policy cannot be read: {error}", hint=_HINT) from error

    def to_toml(self) -> str:
        """The policy file."""
        pins = self.pins
        lines = [
            f"format = {_quoted(FORMAT)}",
            "",
            "# What you know from elsewhere. Never copy these lines out of the bundle that you are about to judge.",
            "[pins]",
            *([f"run = {_quoted(pins.run.hex())}"] if pins.run else []),
            *([f"transcript_key = {_quoted(str(pins.transcript_key))}"] if pins.transcript_key else []),
            *([f"auditors = {_list(pins.auditors)}"] if pins.auditors else []),
            *([f"checkpoint = {_quoted(pins.checkpoint.hex())}"] if pins.checkpoint else []),
            *([f"evidence_roots = {_list(root.hex() for root in pins.evidence_roots)}"] if pins.evidence_roots else []),
            *(_chain_lines(pins.chain) if pins.chain else []),
            *(_register_lines(pins.registers) if pins.registers else []),
            "",
            "# What you ask for. A guarantee that rests on something simulated counts only if you allow it.",
            "[require]",
            f"guarantees = {_list(self.guarantees)}",
            f"replayed_fraction = {_quoted(self.replayed_fraction)}",
            f"allow_simulated = {_list(self.allow_simulated)}",
            "",
        ]
        return "\n".join(lines)


def _chain_lines(pin: ChainPin) -> list[str]:
    return [
        "",
        "# The block whose state decides about anchors, stakes and pay.",
        "[pins.chain]",
        f"id = {pin.id}",
        f"number = {pin.number}",
        f"block = {_quoted(pin.block.hex())}",
        f"local = {str(pin.local).lower()}",
        *(f"{name} = {_quoted(pin.contracts[name])}" for name in CONTRACTS),
    ]


def _register_lines(registers: Mapping[str, tuple[bytes, ...]]) -> list[str]:
    values = [f"{name} = {_list(value.hex() for value in registers[name])}" for name in sorted(registers)]
    return ["", "# Firmware and image of the guests.", "[pins.registers]", *values]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _list(items: Iterable[str]) -> str:
    return f"[{', '.join(_quoted(item) for item in items)}]"


def _read(document: dict[str, Any]) -> Policy:
    _known(document, {"format", "pins", "require"}, "policy")
    if document.get("format") != FORMAT:
        raise FormatError(f"format is not {FORMAT}")
    required = _table(document, "require", {"guarantees", "replayed_fraction", "allow_simulated"})
    fraction = required.get("replayed_fraction", "0.25")
    if not is_decimal(fraction) or not 0 <= Fraction(fraction) <= 1:
        raise FormatError("require.replayed_fraction is not a decimal text from 0 to 1")
    guarantees = _names(required, "guarantees", CHECKED)
    if not guarantees:
        raise FormatError("require.guarantees asks for nothing")
    return Policy(_read_pins(document), guarantees, fraction, _names(required, "allow_simulated", ()))


def _read_pins(document: dict[str, Any]) -> Pins:
    pins = _table(
        document, "pins", {"run", "transcript_key", "auditors", "checkpoint", "chain", "evidence_roots", "registers"}
    )
    key = pins.get("transcript_key")
    if key is not None and not isinstance(key, str):
        raise FormatError("pins.transcript_key is not text")
    return Pins(
        run=RunId(parse_digest(pins["run"])) if "run" in pins else None,
        transcript_key=None if key is None else parse_vkey(key),
        auditors=tuple(parse_address(item) for item in _array(pins, "auditors", ())),
        checkpoint=parse_digest(pins["checkpoint"]) if "checkpoint" in pins else None,
        chain=_read_chain_pin(pins) if "chain" in pins else None,
        evidence_roots=tuple(parse_digest(item) for item in _array(pins, "evidence_roots", ())),
        registers=_read_registers(pins),
    )


def _read_registers(pins: dict[str, Any]) -> dict[str, tuple[bytes, ...]]:
    table = _table(pins, "registers", set(TDX_4.registers))
    return {name: tuple(_read_register(item) for item in _array(table, name, ())) for name in table}


def _read_register(value: object) -> bytes:
    if not isinstance(value, str) or not _REGISTER.fullmatch(value):
        raise FormatError(f"a register is not {REGISTER_SIZE} bytes in lower-case hexadecimal: {str(value)[:40]!r}")
    return bytes.fromhex(value)


def _read_chain_pin(pins: dict[str, Any]) -> ChainPin:
    fields = Fields(pins["chain"], ("id", "number", "block", "local", *CONTRACTS), "pins.chain")
    local = pins["chain"]["local"]
    if not isinstance(local, bool):
        raise FormatError("pins.chain.local is not true or false")
    return ChainPin(
        id=fields.integer("id", 1, MAX_INTEGER),
        number=fields.integer("number", 0, MAX_INTEGER),
        block=fields.digest("block"),
        contracts={name: parse_address(fields.text(name)) for name in CONTRACTS},
        local=local,
    )


def _known(table: dict[str, Any], keys: set[str], where: str) -> None:
    if unknown := sorted(table.keys() - keys):
        raise FormatError(f"{where} has unknown fields: {', '.join(unknown)[:200]}")


def _table(document: dict[str, Any], key: str, keys: set[str]) -> dict[str, Any]:
    table = document.get(key, {})
    if not isinstance(table, dict):
        raise FormatError(f"{key} is not a table")
    _known(table, keys, key)
    return table


def _array(table: dict[str, Any], key: str, default: tuple[str, ...]) -> list[object]:
    value = table.get(key, list(default))
    if not isinstance(value, list):
        raise FormatError(f"{key} is not an array")
    return value


def _names(table: dict[str, Any], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    names = _array(table, key, default)
    for name in names:
        if name not in GUARANTEES:
            raise FormatError(f"{key}: unknown guarantee {str(name)[:40]!r}, known are {', '.join(GUARANTEES)}")
    return tuple(str(name) for name in names)
