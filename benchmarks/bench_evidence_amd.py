"""Appraising one SEV-SNP report: all of it, and its parts.

    python benchmarks/bench_evidence_amd.py        from the repository's root: it reads tests/data/amd

Milliseconds on one core, median and best of 200. The chain is three RSA signatures of 4096 bits; the report, one ECDSA
signature on P-384; the rest is reading and comparing.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from attestrain.appraise.amd.appraisal import appraise_snp
from attestrain.appraise.amd.chain import AmdChain, check_chain
from attestrain.appraise.amd.hcl import HclEnvelope, appraise_hcl
from attestrain.appraise.amd.policy import AmdPolicy
from attestrain.appraise.amd.report import SnpReport

DATA = Path(__file__).parents[1] / "tests/data/amd"
REPEATS = 200
AT = 1_771_000_000
"""A time at which all the certificates counted: in February of 2026."""


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Median and best of the milliseconds that ``work`` took."""
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - start))
    return statistics.median(taken), min(taken)


def main() -> None:
    """Print the table."""
    policy = replace(AmdPolicy(), host_data=())
    turin, azure = ((DATA / f"{name}.bin").read_bytes() for name in ("turin-containers", "genoa-azure"))
    chains = {
        name: AmdChain.read((DATA / f"{leaf}.pem").read_bytes(), (DATA / f"ask_ark_{name}.pem").read_bytes())
        for name, leaf in (("turin_vcek", "turin-containers"), ("genoa", "genoa-azure"))
    }
    report, key = SnpReport.from_bytes(turin), check_chain(chains["turin_vcek"], AT).key
    rows: dict[str, Callable[[], object]] = {
        "read a report": lambda: SnpReport.from_bytes(turin),
        "read an HCL envelope": lambda: HclEnvelope.from_bytes(azure),
        "check the chain": lambda: check_chain(chains["turin_vcek"], AT),
        "check the signature": lambda: report.check_signature(key),
        "appraise a Turin report (v5)": lambda: appraise_snp(turin, chains["turin_vcek"], policy, AT),
        "appraise a Genoa envelope (v3)": lambda: appraise_hcl(azure, chains["genoa"], policy, AT),
    }
    print(f"{'work':<34}{'median ms':>11}{'best ms':>9}")
    for name, work in rows.items():
        median, best = timed(work)
        print(f"{name:<34}{median:>11.3f}{best:>9.3f}")


if __name__ == "__main__":
    main()
