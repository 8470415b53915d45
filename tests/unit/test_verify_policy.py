from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attestrain.appraise.intel.bodies import IMAGE, TDX_4
from attestrain.errors import UsageError
from attestrain.record.canonical import MAX_INTEGER
from attestrain.record.chain import CONTRACTS
from attestrain.record.digest import Digest, sha256
from attestrain.record.names import Address, RunId
from attestrain.record.note import LogKey
from attestrain.verify.guarantees import Achieved, self_asserted
from attestrain.verify.policy import CHECKED, GUARANTEES, ChainPin, Pins, Policy

PINS = Pins(
    run=RunId(sha256(b"run")),
    transcript_key=LogKey("attestrain.dev/run", bytes(32)).verifier,
    auditors=(Address("0x" + "ab" * 20), Address("0x" + "cd" * 20)),
    checkpoint=sha256(b"checkpoint"),
)


@pytest.mark.parametrize(
    "policy",
    [
        Policy(),
        Policy(PINS),
        Policy(Pins(run=PINS.run), ("signed",), "0.5", ("assigned",)),
        Policy(PINS, (*CHECKED, "attested"), "1", ("assigned", "replayed")),
    ],
)
def test_a_policy_survives_its_file(policy: Policy) -> None:
    assert Policy.from_toml(policy.to_toml()) == policy


def test_defaults_ask_for_everything_checked_and_allow_nothing_simulated() -> None:
    policy = Policy.from_toml('format = "attestrain.dev/policy@v1"')
    assert policy == Policy(Pins(), CHECKED, "0.25", ())


def addresses() -> st.SearchStrategy[Address]:
    return st.binary(min_size=20, max_size=20).map(lambda data: Address("0x" + data.hex()))


DIGESTS = st.binary(min_size=32, max_size=32).map(Digest)
NUMBERS = st.integers(0, MAX_INTEGER)
CHAINS = st.builds(
    ChainPin,
    id=st.integers(1, MAX_INTEGER),
    number=NUMBERS,
    block=DIGESTS,
    contracts=st.fixed_dictionaries({name: addresses() for name in CONTRACTS}),
    local=st.booleans(),
)


VALUES = st.lists(st.binary(min_size=48, max_size=48), max_size=2).map(tuple)
REGISTERS = st.dictionaries(st.sampled_from(TDX_4.registers), VALUES)


@given(st.none() | CHAINS, st.lists(DIGESTS, max_size=3), st.lists(addresses(), max_size=3), REGISTERS)
def test_what_a_policy_pins_of_a_chain_survives_its_file(
    chain: ChainPin | None, roots: list[Digest], auditors: list[Address], registers: dict[str, tuple[bytes, ...]]
) -> None:
    pins = Pins(run=PINS.run, auditors=tuple(auditors), chain=chain, evidence_roots=tuple(roots), registers=registers)
    policy = Policy(pins, GUARANTEES, allow_simulated=("attested",))
    assert Policy.from_toml(policy.to_toml()) == policy


CHAIN_LINES = {
    "id": "31337",
    "number": "17",
    "block": "'" + "ab" * 32 + "'",
    "local": "true",
    **{name: "'0x" + "cd" * 20 + "'" for name in CONTRACTS},
}


@pytest.mark.parametrize("missing", CHAIN_LINES)
def test_a_chain_is_pinned_with_everything_or_not_at_all(missing: str) -> None:
    lines = [f"{name} = {value}" for name, value in CHAIN_LINES.items() if name != missing]
    with pytest.raises(UsageError, match="policy cannot be read"):
        Policy.from_toml("\n".join([HEAD, "[pins.chain]", *lines]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "0"),
        ("id", "'31337'"),
        ("id", "true"),
        ("number", "-1"),
        ("number", "17.0"),
        ("block", "'0x" + "ab" * 32 + "'"),
        ("local", "1"),
        ("local", "'true'"),
        ("ledger", "'0x" + "CD" * 20 + "'"),
        ("vault", "'" + "cd" * 20 + "'"),
        ("codes", "'0x'"),
    ],
)
def test_a_malformed_chain_pin_is_refused(name: str, value: str) -> None:
    lines = [f"{key} = {text}" for key, text in {**CHAIN_LINES, name: value}.items()]
    with pytest.raises(UsageError, match="policy cannot be read"):
        Policy.from_toml("\n".join([HEAD, "[pins.chain]", *lines]))


HEAD = 'format = "attestrain.dev/policy@v1"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "format is not"),
        ('format = "attestrain.dev/policy@v2"', "format is not"),
        ("format = ", "cannot be read"),
        (HEAD + "[pin]\n", "unknown fields: pin"),
        (HEAD + "[pins]\nruns = 'x'\n", "unknown fields: runs"),
        (HEAD + "pins = 3\n", "pins is not a table"),
        (HEAD + "[pins]\nrun = 'abc'\n", "not a SHA-256 digest"),
        (HEAD + "[pins]\nrun = 3\n", "not a SHA-256 digest"),
        (HEAD + "[pins]\ntranscript_key = 3\n", "transcript_key is not text"),
        (HEAD + "[pins]\ntranscript_key = 'a+b+c'\n", "verifier key"),
        (HEAD + "[pins]\nauditors = '0x'\n", "auditors is not an array"),
        (HEAD + "[pins]\nauditors = ['0xAB']\n", "not an address"),
        (HEAD + "[pins]\nevidence_roots = ['0xab']\n", "not a SHA-256 digest"),
        (HEAD + "[pins]\nevidence_roots = 'ab'\n", "evidence_roots is not an array"),
        (HEAD + "[pins.registers]\nmrtd = ['ab']\n", "a register is not 48 bytes"),
        (HEAD + "[pins.registers]\nmrtd = 'ab'\n", "mrtd is not an array"),
        (HEAD + "[pins.registers]\nrtmr3 = []\n", "registers has unknown fields: rtmr3"),
        (HEAD + "[pins]\nchain = 31337\n", "pins.chain"),
        (HEAD + "[require]\nguarantees = []\n", "asks for nothing"),
        (HEAD + "[require]\nguarantees = ['honest']\n", "unknown guarantee 'honest'"),
        (HEAD + "[require]\nreplayed_fraction = 0.25\n", "not a decimal text"),
        (HEAD + "[require]\nreplayed_fraction = '1.5'\n", "from 0 to 1"),
        (HEAD + "#" * (1 << 20), "is larger than"),
    ],
)
def test_a_malformed_policy_is_a_usage_error_with_a_hint(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        Policy.from_toml(text)
    assert caught.value.hint


@pytest.mark.parametrize("left_out", [None, *IMAGE])
def test_hardware_evidence_is_self_asserted_unless_firmware_and_image_are_pinned(left_out: str | None) -> None:
    registers = {name: (bytes(48),) for name in IMAGE if name != left_out}
    chain = ChainPin(1, 1, Digest(bytes(32)), {}, local=False)
    pins = replace(PINS, chain=chain, evidence_roots=(Digest(bytes(32)),), registers=registers)
    found = [Achieved("attested", "hardware", ""), Achieved("attested", "simulated", "")]
    assert self_asserted(found[:1], pins) == (["attested"] if left_out else [])
    assert self_asserted(found[1:], pins) == []
