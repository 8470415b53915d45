"""What the service takes from whom, at most. Nobody who asks is trusted, so every size, rate and count has a bound."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from attestrain.record.spec import RunSpec
from attestrain.record.trace import MAX_TRACE

MAX_TARGET = 4_096
"""Longest path and query: one that names `MAX_BATCH_BLOBS` blobs has some three thousand characters."""
MAX_BATCH = 1 << 22
"""Most bytes of several blobs in one request; a larger blob travels alone."""
MAX_BATCH_BLOBS = 32
"""Most blobs in one request."""
MAX_HEADERS = 16_384
"""Most bytes of a request's head: ours have about 600."""
MAX_EVENT = 2_048
"""Largest progress report: ours have about 200 bytes."""
MAX_DOCUMENT = 1 << 18
"""Largest description of an environment or evidence document: a quote with its collateral has some 60 kB."""
MAX_DOCUMENTS = 64
"""Most such documents an account may leave: one of each kind for every key epoch, with room for restarts."""
MAX_CLAIM = 1_024
"""Largest claim of a slot: one account."""
MAX_ANSWER = 1 << 20
"""An answer with entries or events is full beyond this; the reader asks again."""
MAX_WAIT = 20
"""Longest that a long poll is held, in seconds: shorter than most middle boxes' patience with a silent connection."""
MAX_POLLS = 1_024
"""Most long polls held at once: a run has at most 80 participants, and as many strangers may watch."""
MAX_POLLS_PER_PEER = 256
"""Most of them from one peer: 80 participants on one machine, with room."""
MAX_CONNECTIONS = 2_048
"""Most connections at once, as file descriptors are limited; beyond it the answer is 503."""
MAX_ACCOUNTS = 1_024
"""Most accounts that may write: participants and invitations of the largest run several times over."""
MAX_LETTERS = 512
"""Most requests that wait for the conductor; beyond it the answer is 503 and the client comes back."""
PEER_RATE, PEER_BURST = 500.0, 4_000
"""Requests a second from one peer, and how many at once: a whole run on one machine is one peer."""
ACCOUNT_RATE, ACCOUNT_BURST = 100.0, 2_000
"""Signed requests a second from one account, and how many at once: a publication is a few dozen."""
MAX_PEERS = 4_096
"""Peers whose rate is remembered: the longest silent one is forgotten first, and starts with a full burst again."""
BODY_SECONDS = 60.0
"""Longest wait for the next piece of a body: whoever is slower holds a connection for nothing."""
ROUNDS_OF_SLACK = 2
"""Rounds' worth of blobs an account may be ahead of the run: a straggler publishes two rounds at once."""


def largest_blob(spec: RunSpec) -> int:
    """Most bytes of one blob that the run can need: an update, a trace or a component of a state."""
    return max(spec.most_update, MAX_TRACE, *spec.state.values())


def round_allowance(spec: RunSpec) -> int:
    """Most bytes a worker can have to store for one round: update, trace and the states before all its segments."""
    return spec.most_update + MAX_TRACE + spec.schedule.segments * sum(spec.state.values())


class Rates:
    """Token buckets by key: ``rate`` a second, ``burst`` at once.

    Args:
        rate: tokens that come back every second.
        burst: tokens a bucket holds.
        most: keys remembered.
        clock: seconds, monotonic.
    """

    def __init__(
        self, rate: float, burst: float, most: int = MAX_PEERS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._most = most
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """Take a token: 0 if there was one, else the seconds until there will be."""
        now = self._clock()
        tokens, since = self._buckets.pop(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[key] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return wait
