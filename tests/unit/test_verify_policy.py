from __future__ import annotations

import pytest

from attestrain.errors import UsageError
from attestrain.record.digest import sha256
from attestrain.record.names import Address, RunId
from attestrain.record.note import LogKey
from attestrain.verify.policy import CHECKED, Pins, Policy

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
