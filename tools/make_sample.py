"""Make the bundle that ships with the package: a real run, small enough for every wheel.

    python tools/make_sample.py [--out FILE]

Trains two workers and one cheat on the frozen slice, verifies the result under its own policy and packs bundle and
policy into ``src/attestrain/data/sample.zip``. What only replaying needs (the data and the states) stays out: the
sample is for judging. Keys are fresh each time, so the archive differs from run to run; only its verdict stays.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from attestrain.cli.sample import BUNDLE, POLICY
from attestrain.record.bundle import MANIFEST, FolderFiles, Manifest, MemoryFiles, make_manifest
from attestrain.run.config import make_config
from attestrain.run.session import train
from attestrain.verify.policy import Policy
from attestrain.verify.verdict import Outcome
from attestrain.verify.verifier import verify

OUT = Path(__file__).resolve().parent.parent / "src/attestrain/data/sample.zip"
MAX_SIZE = 400_000
"""Largest archive: every installation carries it."""
LEFT_OUT = ("data/", "states/")
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time an archive can hold, so that time is not a difference."""
CONFIG = {
    "run": {"name": "sample", "seed": 1},
    "task": {"config": {"width": 16, "layers": 1, "heads": 2, "hidden": 32}},
    "dataset": {"source": "slice", "sequence_tokens": 512},
    "schedule": {"rounds": 4, "steps": 4, "segment_steps": 2, "batch": 2, "workers": 3},
    "inner": {"warmup": 4},
    "audit": {"fraction": 1},
    "cheat": [{"worker": 2, "kind": "skip-steps", "from_round": 1}],
    "local": {"validation_sequences": 16},
}
"""Everything is replayed, so the cheat is caught whatever the draw."""


def make_files(folder: Path) -> tuple[MemoryFiles, str]:
    """Train in ``folder``; the bundle without what only replaying needs, and the text of its policy."""
    outcome = train(make_config(CONFIG, "sample"), folder / "run", on_event=lambda event: None)
    whole = FolderFiles(outcome.bundle)
    files = MemoryFiles({p: whole.read(p) for p in whole.paths() if not p.startswith(LEFT_OUT)})
    run = Manifest.from_bytes(files[MANIFEST]).run
    files[MANIFEST] = make_manifest(run, files).to_bytes()
    if [fault.worker for fault in outcome.caught] != [2]:
        raise SystemExit("error: the sample's cheat was not caught, or somebody else was")
    return files, outcome.policy.read_text(encoding="utf-8")


def pack(files: MemoryFiles, policy: str) -> bytes:
    """The archive."""
    content = {POLICY: policy.encode("utf-8")} | {BUNDLE + path: files[path] for path in sorted(files)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()


def main() -> None:
    """Make the sample, or say why it cannot be shipped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="where to write the archive")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="attestrain-sample-"))
    try:
        files, policy = make_files(folder)
    finally:
        shutil.rmtree(folder)
    verdict = verify(files, Policy.from_toml(policy))
    if verdict.outcome is not Outcome.VERIFIED:
        raise SystemExit(f"error: the sample is {verdict.outcome}")
    data = pack(files, policy)
    if len(data) > MAX_SIZE:
        raise SystemExit(f"error: the sample takes {len(data)} bytes, more than {MAX_SIZE}")
    arguments.out.write_bytes(data)
    print(f"{arguments.out}: {len(data)} bytes, {len(files)} files", file=sys.stderr)


if __name__ == "__main__":
    main()
