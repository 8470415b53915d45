"""Mutate evidence at random for as long as you like: anything but a typed error ends it with the bytes that did it.

    python tools/fuzz_evidence.py [SECONDS] [SEED] [FILE COLLATERAL TIME]

Without a file, quotes of simulated machines of every kind are mutated, with the real checks behind. The same seed makes
the same mutations, of a quote that is fresh each time. Not guided by coverage.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from attestrain.appraise.attestation import Attestation
from attestrain.appraise.intel.appraise import appraise_intel
from attestrain.appraise.intel.bodies import TDX
from attestrain.appraise.intel.policy import IntelPolicy
from attestrain.appraise.intel.spelled import read_collateral
from attestrain.attester.pki import DevPki
from attestrain.attester.simulator import SimulatedMachine
from attestrain.errors import FormatError, Refuted
from attestrain.record.digest import ZERO_DIGEST
from attestrain.record.evidence import Collateral

NOW = 1_780_000_000
SECONDS = 60
Case = tuple[bytes, Collateral, IntelPolicy, int]


def simulated() -> list[Case]:
    """A quote of each kind of simulated machines."""
    pki = DevPki.generate(NOW)
    platform, policy = pki.provision(NOW), IntelPolicy(roots=(pki.root_digest,))
    machines = [SimulatedMachine(platform, kind=kind) for kind in TDX]
    return [
        (machine.evidence(bytes(64), (), 0, ZERO_DIGEST).quote, platform.collateral, policy, NOW)
        for machine in machines
    ]


def mutated(data: bytes, dice: random.Random) -> bytes:
    """``data`` with bits flipped, bytes replaced, cut out, doubled or cut off."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at, size = dice.randrange(len(changed) + 1), dice.choice((1, 1, 2, 4, 64))
        replaced = dice.choice((b"", dice.randbytes(size), bytes(changed[at : at + size]) * 2, b"\xff" * size))
        changed[at : at + dice.choice((0, size))] = replaced
    return bytes(changed[: dice.randrange(len(changed) + 1)] if dice.random() < 0.05 else changed)


def main() -> None:
    """Mutate until the time is up, and print how much was refused and how much shows the same as before."""
    arguments = sys.argv[1:]
    seconds, seed = float(arguments[0]) if arguments else SECONDS, int(arguments[1]) if len(arguments) > 1 else 0
    cases = simulated()
    if len(arguments) == 5:
        quote, beside = (Path(path).read_bytes() for path in arguments[2:4])
        cases = [(quote, read_collateral(beside), IntelPolicy(), int(arguments[4]))]
    shown: list[Attestation] = [appraise_intel(*case) for case in cases]
    dice, refused, same, end = random.Random(seed), 0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        number = dice.randrange(len(cases))
        quote, *rest = cases[number]
        forged = mutated(quote, dice)
        try:
            taken = appraise_intel(forged, *rest)  # type: ignore[arg-type]
        except (Refuted, FormatError):
            refused += 1
            continue
        except BaseException:
            print(forged.hex())
            raise
        if taken != shown[number]:
            raise SystemExit(f"taken for something else: {forged.hex()}")
        same += 1
    print(f"{refused} refused, {same} taken for what they were before, nothing else, in {seconds:g} s (seed {seed})")


if __name__ == "__main__":
    main()
