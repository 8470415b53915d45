"""Parts of run specs that say how a run trains, for tests that care about something else."""

from __future__ import annotations

import struct

from attestrain.record.spec import Aggregate, Codec, Outer, Overlap
from attestrain.update.settings import aggregate_settings, codec_settings, outer_settings

PLAIN = Overlap(fragments=1, shares=1, delay=0, blend="0")


def make_codec(name: str = "ternary", block: int = 64, feedback: str = "1", **settings: str) -> Codec:
    return Codec(name, block, feedback, codec_settings(name, settings))


def make_outer(name: str = "sgd", rate: str = "1", *, rounds: int = 3, **settings: str) -> Outer:
    """An outer optimizer whose rate stays the same."""
    return Outer(name, outer_settings(name, settings), struct.pack(">f", float(rate)).hex() * rounds)


def make_aggregate(name: str = "mean", **settings: str) -> Aggregate:
    return Aggregate(name, aggregate_settings(name, settings))


MEAN = make_aggregate()
