from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from attestrain.errors import FormatError
from attestrain.record.names import Round, Worker
from attestrain.record.plan import Adaptive, Plan
from attestrain.record.spec import RunSpec
from attestrain.update.checkpoint import Checkpoint, advance, genesis, load_checkpoint, stored_bytes
from attestrain.update.codec import DecodedUpdate, decode, memory_size, quantise
from attestrain.update.feedback import Kept, compress
from attestrain.update.lowrank import LowRank, at_rank
from attestrain.update.plan import check_plan, estimate, first_plan, following_plan
from tests.vectors.make_update import adaptive_spec, header_of, make_spec, make_values

SPEC = adaptive_spec()
SIZE = SPEC.layout.parameters


def delayed(spec: RunSpec) -> RunSpec:
    return replace(spec, overlap=replace(spec.overlap, delay=1))


def of_rank(rank: int, spec: RunSpec = SPEC, label: str = "exact") -> DecodedUpdate:
    """An update whose matrices have exactly this rank, the components equally strong; nothing else."""
    values = np.zeros(SIZE, dtype=np.float32)
    for tensor, start, end in spec.layout.offsets():
        if len(tensor.shape) == 2:
            rows, columns = tensor.shape
            basis = np.linalg.qr(make_values(rows * rank, f"{label} left").reshape(rows, rank))[0]
            other = np.linalg.qr(make_values(columns * rank, f"{label} right").reshape(columns, rank))[0]
            values[start:end] = (basis @ other.T).astype(np.float32).reshape(-1)
    return quantise(spec, header_of(spec, genesis(spec), 0), values)


def round_of(spec: RunSpec, checkpoint: Checkpoint, kept: list[Kept]) -> tuple[Checkpoint, list[Kept]]:
    """One round of three workers that keep what they must."""
    updates, after, rank = {}, [], checkpoint.record.rank_of(checkpoint.record.round)
    for worker, before in enumerate(kept):
        drift = make_values(SIZE, f"{checkpoint.record.round}/{worker}")
        updates[Worker(worker)], now = compress(spec, header_of(spec, checkpoint, worker), drift, before, rank)
        after.append(now)
    step = advance(spec, checkpoint, updates)
    assert not step.rejected
    assert step.rank == rank
    return step.checkpoint, after


def fresh(spec: RunSpec) -> list[Kept]:
    memory = np.zeros(memory_size(spec.codec, spec.layout), dtype=np.float32)
    return [Kept(np.zeros(SIZE, dtype=np.float32), memory)] * 3


def test_a_run_begins_with_the_rank_of_its_spec_in_every_round_that_starts_from_checkpoint_0() -> None:
    assert first_plan(SPEC) == Plan((3,), ())
    assert first_plan(delayed(SPEC)) == Plan((3, 3), ())
    assert first_plan(make_spec("lowrank")) is None
    assert genesis(make_spec("lowrank")).record.plan is None


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_estimate_is_the_rank_of_an_update_that_has_one(rank: int) -> None:
    assert estimate([of_rank(rank)], Fraction("0.97")) == rank


def test_the_estimate_is_a_median_that_one_liar_among_three_cannot_move() -> None:
    honest = [of_rank(2), of_rank(2, label="other")]
    for lie in (1, 3):
        assert estimate([*honest, of_rank(lie)], Fraction("0.97")) == 2
    assert estimate([of_rank(1), of_rank(3)], Fraction("0.97")) == 3
    assert estimate([], Fraction(1)) is None


def test_the_rank_is_the_mean_of_the_window_after_the_delay_and_stays_within_its_bounds() -> None:
    spec = delayed(replace(SPEC, adaptive=Adaptive("0.97", 2, 1)))
    plan = following_plan(spec, Plan((3, 3), ()), [of_rank(1)])
    assert plan == Plan((3, 3), (1,))
    assert following_plan(spec, plan, [of_rank(2)]) == Plan((3, 2), (1, 2))
    assert following_plan(spec, plan, [of_rank(1)]) == Plan((3, 1), (1, 1))
    assert following_plan(spec, plan, []) == plan
    assert following_plan(spec, Plan((2, 1), (1, 1)), [of_rank(3)]) == Plan((1, 1), (1, 3))
    floor = replace(spec, adaptive=Adaptive("0.97", 1, 2))
    assert following_plan(floor, Plan((3, 3), ()), [of_rank(1)]) == Plan((3, 2), (1,))


def test_updates_of_a_fallen_rank_are_those_of_a_codec_with_that_rank() -> None:
    checkpoint, kept = round_of(SPEC, genesis(SPEC), fresh(SPEC))
    assert checkpoint.record.plan == Plan((2,), (2,))
    drift, header = make_values(SIZE, "next"), header_of(SPEC, checkpoint, 0)
    data, after = compress(SPEC, header, drift, kept[0], 2)
    ef = np.float32(SPEC.codec.feedback) * kept[0].ef + drift  # type: ignore[operator]
    leading = np.concatenate([part[: 2 * part.size // 3] for part in np.split(kept[0].memory, [3 * 7])])
    alone = LowRank.quantise(at_rank(SPEC.codec, 2), SPEC.layout, ef, leading)
    assert decode(SPEC, data, 2).to_bytes() == data
    assert data.endswith(alone.to_bytes())
    assert np.array_equal(after.ef, ef - alone.values())  # type: ignore[arg-type]
    assert len(after.memory) == len(kept[0].memory)
    with pytest.raises(FormatError):
        decode(SPEC, data)


def test_a_matrix_too_small_for_the_first_rank_is_factorised_at_a_lower_one_and_not_remembered() -> None:
    spec = replace(SPEC, codec=at_rank(SPEC.codec, 4))  # 5 x 7 is factorised at 4 and 3, 4 x 9 at 3 alone
    kept = fresh(spec)[0]
    header, drift = header_of(spec, genesis(spec), 0), make_values(SIZE, "small")
    assert len(kept.memory) == 4 * 7
    bodies = [decode(spec, compress(spec, header, drift, kept, rank)[0], rank).body for rank in (4, 3)]
    assert [len(body.factors) for body in bodies if isinstance(body, LowRank)] == [1, 2]
    after = compress(spec, header, drift, kept, 3)[1].memory
    assert np.array_equal(after, np.concatenate([bodies[1].memory()[: 3 * 7], np.zeros(7, np.float32)]))


def test_an_update_of_another_rank_than_the_plans_is_rejected_and_moves_nothing() -> None:
    checkpoint, kept = round_of(SPEC, genesis(SPEC), fresh(SPEC))
    header = header_of(SPEC, checkpoint, 0)
    stale, _ = compress(SPEC, header, make_values(SIZE, "next"), kept[0], 3)
    step = advance(SPEC, checkpoint, {Worker(0): stale})
    assert list(step.rejected) == [0]
    assert step.checkpoint.params is checkpoint.params
    assert step.checkpoint.record.plan == checkpoint.record.plan


def test_a_fragment_without_a_matrix_gives_no_estimate() -> None:
    spec = replace(SPEC, overlap=replace(SPEC.overlap, fragments=2))
    checkpoint = replace(genesis(spec), record=replace(genesis(spec).record, round=Round(1)))
    size = sum(tensor.size for tensor in spec.layout.tensors[1::2])
    update = quantise(spec, header_of(spec, checkpoint, 0), make_values(size, "vectors"))
    assert following_plan(spec, Plan((3,), ()), [update]) == Plan((3,), ())


@pytest.mark.parametrize(
    "plan", [None, Plan((3, 3), ()), Plan((4,), ()), Plan((1,), (1, 1)), Plan((1,), (4,))], ids=str
)
def test_a_stored_checkpoint_with_a_plan_that_the_run_cannot_have_is_refused(plan: Plan | None) -> None:
    checkpoint = genesis(SPEC)
    blobs = stored_bytes(checkpoint.params), stored_bytes(checkpoint.momentum)
    assert load_checkpoint(SPEC, checkpoint.record, *blobs).record == checkpoint.record
    with pytest.raises(FormatError, match=r"checkpoint (has|plans)"):
        load_checkpoint(SPEC, replace(checkpoint.record, plan=plan), *blobs)


def test_a_run_that_keeps_its_rank_has_no_plan() -> None:
    spec = make_spec("lowrank")
    with pytest.raises(FormatError, match="has a plan where the run has none"):
        check_plan(spec, replace(genesis(spec).record, plan=Plan((3,), ())))
