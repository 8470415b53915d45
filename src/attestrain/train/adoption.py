"""How a worker takes a checkpoint, and how far it then drifted from it: what overlapped algorithms change.

With base checkpoint B, the worker's parameters w and its share of own drift a (``overlap.blend``):

- whole model, no delay: w <- B + a (w - B), and the drift is B - w after training. DiLoCo (Douillard et al. 2023) has
  a = 0.
- fragments: only those that were synchronised since the worker last took a checkpoint, the same way; everything else
  goes on. The drift of a fragment counts from the checkpoint, in which it last changed when it was synchronised
  (Streaming DiLoCo, Douillard et al. 2025).
- whole model, one round of delay: w <- B + a (w - S), where S is where the worker's last round began: its own drift is
  still on its way into a checkpoint. The drift counts from where this round begins (DiLoCoX, Qi et al. 2025, as far as
  its description goes; with a = 0 every round restarts from a checkpoint one round old).

Everything is elementwise float32, so another machine takes a checkpoint to the same bits.
"""

from __future__ import annotations

import numpy as np

from attestrain.record.names import Round
from attestrain.record.spec import RunSpec
from attestrain.train.state import State, counter, counter_of, cursor_of, frozen
from attestrain.update.arrays import Float32s
from attestrain.update.components import GRADIENTS, PARAMS, START, SYNCED
from attestrain.update.fragments import fragment_of


def adopted(spec: RunSpec, state: State, base: Float32s, round_: Round) -> State:
    """The state with which a worker begins round ``round_`` from checkpoint ``base``."""
    params = state[PARAMS].view(np.float32)
    if not cursor_of(state):
        params = base.copy()  # nothing of its own yet: it is new
    elif spec.overlap.fragments > 1:
        params = _fragments(spec, state, base, round_)
    else:
        params = _blend(spec, base, params, state[START].view(np.float32) if START in state else base)
    after = {**state, PARAMS: frozen(params)}
    if START in state:
        after[START] = after[PARAMS]
    if SYNCED in state:
        after[SYNCED] = counter(spec.overlap.base(round_))
    if GRADIENTS in state:
        after[GRADIENTS] = frozen(np.zeros_like(params))
    return after


def drift(spec: RunSpec, state: State, base: Float32s) -> Float32s:
    """The pseudo-gradient of a round: the mean gradient, or where the worker began minus where it is."""
    if GRADIENTS in state:
        return state[GRADIENTS].view(np.float32) / np.float32(spec.schedule.steps)
    begun = state[START].view(np.float32) if START in state else base
    with np.errstate(all="ignore"):  # overflow is found, with a hint, when the update is made
        return begun - state[PARAMS].view(np.float32)


def _fragments(spec: RunSpec, state: State, base: Float32s, round_: Round) -> Float32s:
    """The fragments of the checkpoints since the last one taken; each at most once, however many those are."""
    params, taken = state[PARAMS].view(np.float32), counter_of(state, SYNCED)
    last = spec.overlap.base(round_)
    for number in range(max(taken, last - spec.overlap.fragments), last):
        part = fragment_of(spec, Round(number))
        values = part.take(base)
        params = part.put(params, _blend(spec, values, part.take(params), values))
    return params


def _blend(spec: RunSpec, base: Float32s, params: Float32s, begun: Float32s) -> Float32s:
    share = np.float32(spec.overlap.blend)
    with np.errstate(all="ignore"):
        return base + share * (params - begun) if share else base.copy()
