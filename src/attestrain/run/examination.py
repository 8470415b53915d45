"""Examination: what a join must withstand, besides the transcript's rules, on a run with a chain and evidence.

The same questions that a verdict asks (claim 3), asked before the join is appended: who is not enrolled, or whose
evidence is worth nothing under this run's roots, does not get in.
"""

from __future__ import annotations

from pathlib import Path

from attestrain.errors import FormatError
from attestrain.record.digest import ZERO_DIGEST, Digest, sha256
from attestrain.record.evidence import Evidence
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Join
from attestrain.run.events import EventLog
from attestrain.run.onchain import OnChain
from attestrain.verify.checks import require
from attestrain.verify.evidence import Given, appraise_key


class Examination:
    """Examines joins.

    Args:
        spec: the run spec.
        chain: where keys are enrolled.
        folder: evidence documents by digest.
        roots: development roots that evidence may hang from; None if the run asks for no evidence.
        events: told who got in, and on what.
    """

    def __init__(
        self, spec: RunSpec, chain: OnChain, folder: Path, roots: tuple[Digest, ...] | None, events: EventLog
    ) -> None:
        self._spec = spec
        self._chain = chain
        self._folder = folder
        self._roots = roots
        self._events = events

    def __call__(self, join: Join) -> None:
        """Examine a join that is about to be appended.

        Raises:
            Contradiction: its key is not enrolled like this, or its evidence is worth nothing.
            FormatError: its evidence is malformed or was not left here.
        """
        fact = self._chain.require_enrolled(join)
        assurance = "none"
        if self._roots is not None:
            require(
                join.evidence != ZERO_DIGEST, f"{join.role} {join.worker} gives no evidence, which this run asks for"
            )
            given = Given(join, fact, self._evidence(join))
            assurance = appraise_key(self._spec, given, self._roots).assurance
        stake = str(self._chain.steadily(lambda: self._chain.client.account(join.participant).stake))
        place = {"role": join.role, "worker": join.worker, "assurance": assurance}
        self._events.emit("enrolled", **place, stake=stake, block=fact.block_number)

    def _evidence(self, join: Join) -> Evidence:
        path = self._folder / f"{join.evidence.hex()}.json"
        data = path.read_bytes() if path.is_file() else b""
        if sha256(data) != join.evidence:
            raise FormatError(f"the evidence of {join.role} {join.worker} was not left here")
        return Evidence.from_bytes(data)
