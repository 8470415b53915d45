"""Claim (6): every batch is the one assigned from the committed dataset, every learning rate the spec's.

Leaves are salted digests, so this needs no data.
"""

from __future__ import annotations

from attestrain.record.bundle import DATASET, LEAVES, Bundle
from attestrain.record.canonical import parse
from attestrain.record.dataset import DatasetManifest, batch_digest, leaves_root
from attestrain.record.digest import DIGEST_SIZE, Digest
from attestrain.record.spec import RunSpec
from attestrain.record.trace import Trace
from attestrain.rules.assignment import Assignment
from attestrain.rules.ledger import Ledger
from attestrain.verify.checks import require
from attestrain.verify.receipts import Works
from attestrain.verify.structure import read


def read_dataset(bundle: Bundle, spec: RunSpec) -> tuple[tuple[DatasetManifest, bytes], str]:
    """The dataset that the spec names, and the leaves of its training split.

    Raises:
        Missing: not in the bundle.
        Contradiction, FormatError: another dataset, or leaves that are not its own.
    """
    data = read(bundle, DATASET)
    manifest = DatasetManifest.from_json(parse(data))
    require(manifest.digest == spec.dataset, "the dataset is not the one that the spec names")
    length = spec.schedule.sequence_tokens
    require(manifest.sequence_tokens == length, f"the dataset's sequences are not of the spec's {length} tokens")
    expected = manifest.train.sequences
    entry = bundle.manifest.files.get(LEAVES)
    # Before reading: the manifest of the dataset bounds what a bundle may make us load.
    fits = entry is None or entry.size == expected * DIGEST_SIZE
    require(fits, f"{LEAVES} does not hold {expected} leaves")
    leaves = read(bundle, LEAVES)
    require(leaves_root(leaves) == manifest.train.root, f"{LEAVES} does not have the root of the training split")
    return (manifest, leaves), f"{manifest.name}, {expected} sequences"


def check_assignment(ledger: Ledger, works: Works, leaves: bytes) -> tuple[None, str]:
    """Batches and learning rates of every published worker-round.

    Raises:
        Contradiction: a step took another batch or rate.
    """
    spec = ledger.spec
    count = len(leaves) // DIGEST_SIZE
    places = {
        round_: Assignment(book.opened.statement.beacon, spec.schedule, count) for round_, book in ledger.rounds.items()
    }
    for (round_, _), work in works.items():
        check_steps(spec, places[round_], leaves, work.trace)
    steps = len(works) * spec.schedule.steps
    return None, f"{steps} batches of {spec.schedule.batch} sequences and as many rates"


def check_steps(spec: RunSpec, assignment: Assignment, leaves: bytes, trace: Trace) -> None:
    """Batches and learning rates of one worker-round; the sequencer asks this too.

    Args:
        spec: the run spec.
        assignment: the assignment of the trace's round.
        leaves: leaves of the training split, concatenated.
        trace: what the worker claims.

    Raises:
        Contradiction: a step took another batch or rate.
    """
    records = [step for segment in trace.segments for step in segment.steps]
    where = f"worker {trace.worker} round {trace.round}"
    require(len(records) == spec.schedule.steps, f"{where} has {len(records)} steps, not {spec.schedule.steps}")
    for step, record in enumerate(records):
        name = f"{where} step {step}"
        batch = batch_digest([_leaf(leaves, index) for index in assignment.sequences(trace.worker, step)])
        require(record.batch == batch, f"{name} trained on another batch than the assigned one")
        rate = spec.inner.rate_bits(trace.round * spec.schedule.steps + step)
        require(record.rate == rate, f"{name} took another learning rate than the spec's")


def _leaf(leaves: bytes, index: int) -> Digest:
    return Digest(leaves[index * DIGEST_SIZE : (index + 1) * DIGEST_SIZE])
