"""Readers of evidence under a coverage-guided fuzzer: anything but a typed error ends it, with the input in a file.

    pip install atheris                                         not among the project's own dependencies
    python tools/fuzz_parsers.py quote -runs=1000000            or: document, collateral, policy, signed, any

The name is of the reader; what follows are libFuzzer's options. Each starts from what simulated machines give.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["attestrain"]):
    from attestrain.appraise.endorsed import endorse
    from attestrain.appraise.formats import appraise_any
    from attestrain.appraise.intel.bodies import TDX
    from attestrain.appraise.intel.quote import Quote, pem
    from attestrain.appraise.intel.spelled import read_collateral
    from attestrain.appraise.platforms import FORMAT as PLATFORMS
    from attestrain.appraise.platforms import read_platforms
    from attestrain.appraise.policy import FORMAT as POLICY
    from attestrain.appraise.policy import EvidencePolicy
    from attestrain.attester.pki import DevPki
    from attestrain.attester.simulator import SimulatedMachine
    from attestrain.errors import FormatError, PolicyNotMet, Refuted, Undecided, UsageError
    from attestrain.record.digest import ZERO_DIGEST
    from attestrain.record.evidence import Evidence
    from attestrain.record.keys import SigningKey

NOW = 1_780_000_000
TYPED = (FormatError, UsageError, Refuted, Undecided, PolicyNotMet)
KEY = SigningKey(bytes([7]) * 32)


def no_file(name: str) -> bytes:
    """No file that a policy names is there."""
    raise UsageError(f"there is no {name}")


def read_policy(data: bytes) -> object:
    """A policy that may name files."""
    return EvidencePolicy.from_toml(data.decode("utf-8", "replace"), no_file)


READERS: dict[str, Callable[[bytes], object]] = {
    "quote": Quote.from_bytes,
    "document": Evidence.from_bytes,
    "collateral": read_collateral,
    "policy": read_policy,
    "signed": lambda data: read_platforms(data, (KEY.address,)),
    "any": lambda data: appraise_any(data, None, EvidencePolicy(), NOW),
}


def seeds() -> dict[str, list[bytes]]:
    """What each reader begins with."""
    platform = DevPki.generate(NOW).provision(NOW)
    evidence = [SimulatedMachine(platform, kind=kind).evidence(bytes(64), (), 0, ZERO_DIGEST) for kind in TDX]
    quotes, documents = [item.quote for item in evidence], [item.to_bytes() for item in evidence]
    held = platform.collateral
    values = {name: getattr(held, name) for name in type(held).__dataclass_fields__}
    texts = {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}
    chains = {name: "".join(map(pem, chain)) for name, chain in held.chains.items()}
    known = {"vendor": "intel", "platform": "00" * 16, "evidence": "seen", "expires": NOW}
    return {
        "quote": quotes,
        "document": documents,
        "collateral": [json.dumps(texts | chains).encode()],
        "policy": [
            f'format = "{POLICY}"\n[require]\nvendors = 1\n[intel]\nsmt = true\n[platforms]\nfiles = []'.encode()
        ],
        "signed": [endorse({"format": PLATFORMS, "platforms": [known]}, KEY)],
        "any": [*quotes, *documents],
    }


def main() -> None:
    """Fuzz the reader that the first argument names."""
    name, *options = sys.argv[1:]
    read = READERS[name]

    def once(data: bytes) -> None:
        try:
            read(data)
        except TYPED:
            return

    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds()[name]):
            (Path(folder) / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], folder, "-max_len=65536", *options], once)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
