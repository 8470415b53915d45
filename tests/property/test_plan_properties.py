from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from attestrain.errors import FormatError
from attestrain.record.names import Round, Worker
from attestrain.record.plan import MAX_PLANNED_RANK, MAX_WINDOW, Adaptive, Plan
from attestrain.record.spec import RunSpec
from attestrain.update.checkpoint import advance, genesis
from attestrain.update.codec import decode, memory_size, quantise
from attestrain.update.feedback import Kept, compress
from attestrain.update.plan import check_plan, estimate, following_plan
from tests.vectors.make_update import adaptive_spec, header_of, make_values

FEW = settings(max_examples=60, deadline=None)
SIZE = adaptive_spec().layout.parameters

ranks = st.integers(1, MAX_PLANNED_RANK)
plans = st.builds(
    Plan,
    st.lists(ranks, min_size=1, max_size=2).map(tuple),
    st.lists(ranks, max_size=MAX_WINDOW).map(tuple),
)
labels = st.integers(0, 10**6).map(str)
shares = st.sampled_from(["0", "0.25", "0.5", "0.75", "0.9", "1"])


def spec_with(share: str, window: int, delay: int) -> RunSpec:
    spec = adaptive_spec()
    return replace(spec, adaptive=Adaptive(share, window, 1), overlap=replace(spec.overlap, delay=delay))


@given(plans)
def test_a_plan_reads_back_as_itself(plan: Plan) -> None:
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["ranks", "estimates"]), inner),
    )
)
def test_whatever_stands_for_a_plan_is_refused_or_reads_back(value: object) -> None:
    try:
        plan = Plan.from_json(value)  # type: ignore[arg-type]
    except FormatError:
        return
    assert plan.to_json() == value


@FEW
@given(share=shares, window=st.integers(1, 4), delay=st.integers(0, 1), seed=labels)
def test_ranks_never_rise_and_every_plan_is_one_that_the_run_can_have(
    share: str, window: int, delay: int, seed: str
) -> None:
    spec = spec_with(share, window, delay)
    checkpoint = genesis(spec)
    for number in range(3):
        plan, rank = checkpoint.record.plan, checkpoint.record.rank_of(Round(number))
        assert plan is not None
        header = header_of(spec, checkpoint, 0)
        kept = Kept(np.zeros(SIZE, np.float32), np.zeros(memory_size(spec.codec, spec.layout), np.float32))
        data, _ = compress(spec, header, make_values(SIZE, f"{seed} {number}"), kept, rank)
        assert decode(spec, data, rank).to_bytes() == data
        checkpoint = advance(spec, checkpoint, {Worker(0): data}).checkpoint
        after = checkpoint.record.plan
        assert after is not None
        check_plan(spec, checkpoint.record)
        assert after.ranks[:-1] == plan.ranks[1:]
        assert after.ranks[-1] <= plan.ranks[-1]


@FEW
@given(share=shares, seeds=st.lists(labels, min_size=1, max_size=5), data=st.data())
def test_the_order_and_the_scale_of_updates_do_not_matter(share: str, seeds: list[str], data: st.DataObject) -> None:
    spec = spec_with(share, 1, 0)
    header = header_of(spec, genesis(spec), 0)
    updates = [quantise(spec, header, make_values(SIZE, seed)) for seed in seeds]
    larger = [quantise(spec, header, make_values(SIZE, seed) * np.float32(2**20)) for seed in seeds]
    found = estimate(updates, Fraction(share))
    assert found is not None
    assert found == estimate(data.draw(st.permutations(larger)), Fraction(share))
    assert following_plan(spec, Plan((3,), ()), updates) == Plan((found,), (found,))
