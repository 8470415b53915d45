"""What judging evidence costs, on one core.

    python benchmarks/bench_evidence.py [QUOTE COLLATERAL TIME]      default: a simulated machine's quotes

Milliseconds of processor time for one piece, median of `REPEATS`: what else the machine does has little part in it.
dcap-qvl's own verification of the same quote, with its claims, is the row to compare with. A genuine quote is
named with its collateral and a time at which both counted.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dcap_qvl

from attestrain.appraise.conclusion import Finding, conclude
from attestrain.appraise.formats import appraise_any
from attestrain.appraise.intel.authentic import check_quote_signature
from attestrain.appraise.intel.bodies import TDX, Kind
from attestrain.appraise.intel.policy import IntelPolicy
from attestrain.appraise.intel.quote import Quote, pem
from attestrain.appraise.intel.wrapped import judge_quote
from attestrain.appraise.policy import EvidencePolicy
from attestrain.attester.pki import DevPki
from attestrain.attester.simulator import SimulatedMachine
from attestrain.record.digest import ZERO_DIGEST
from attestrain.record.evidence import Collateral

REPEATS = 200
NOW = 1_780_000_000


def median(work: Callable[[], object]) -> float:
    """Milliseconds of processor time of one call, the median of `REPEATS`."""
    taken = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return 1000 * statistics.median(taken)


def spelled(collateral: Collateral) -> str:
    """Collateral as dcap-qvl writes it."""
    fields = {name: getattr(collateral, name) for name in Collateral.__dataclass_fields__}
    chains = {name: "".join(map(pem, chain)) for name, chain in collateral.chains.items()}
    text: str = dcap_qvl.QuoteCollateralV3(**{**fields, **chains}).to_json()
    return text


def rows_of(name: str, quote: bytes, given: str, policy: EvidencePolicy, at: int) -> dict[str, float]:
    """Milliseconds of each step for one quote."""
    read, beside = Quote.from_bytes(quote), given.encode()
    judge_quote(quote, beside, policy.intel, at)

    def theirs() -> object:
        rules = dcap_qvl.QuotePolicy.claims_only(at)
        verifier = dcap_qvl.QuoteVerifier(read.chain[-1])
        collateral = dcap_qvl.QuoteCollateralV3.from_json(given)
        return verifier.verify_with_policy(quote, collateral, at, rules).to_json()

    return {
        f"{name}: read": median(lambda: Quote.from_bytes(quote)),
        f"{name}: signature of header and body": median(lambda: check_quote_signature(read)),
        f"{name}: judged under a policy": median(
            lambda: conclude([Finding(name, appraise_any(quote, beside, policy, at))], policy, at)
        ),
        f"{name}: dcap-qvl alone": median(theirs),
    }


def simulated(kind: Kind) -> dict[str, float]:
    """The rows of a simulated machine."""
    pki = DevPki.generate(NOW)
    platform = pki.provision(NOW)
    quote = SimulatedMachine(platform, kind=kind).evidence(bytes(64), (), 0, ZERO_DIGEST).quote
    policy = EvidencePolicy(assurance="simulated", intel=IntelPolicy(roots=(pki.root_digest,)))
    return rows_of(f"{kind.format}, body of {kind.size} bytes", quote, spelled(platform.collateral), policy, NOW)


def main() -> None:
    """Print the table."""
    rows: dict[str, float] = {}
    if len(sys.argv) == 4:
        quote, given = (Path(path).read_bytes() for path in sys.argv[1:3])
        name = Quote.from_bytes(quote).kind.format
        rows = rows_of(name, quote, given.decode(), EvidencePolicy(), int(sys.argv[3]))
    else:
        for kind in TDX:
            rows |= simulated(kind)
    for name, milliseconds in rows.items():
        print(f"{name:<64}{milliseconds:>9.3f} ms")


if __name__ == "__main__":
    main()
