"""The appraisal: what a piece of evidence says about one session key, or why it is refused.

1. The quote is a TDX quote of a guest that cannot be debugged or moved.
2. A known root vouches for it, with collateral of its time (`appraise.intel.authentic`).
3. It is bound to this session key, participant, run, slot and block: nobody else's evidence serves, nor an old one.
4. RTMR3 is what its event log replays to, and the events are what this run requires.
5. The other registers have the values that the policy names.

Whoever holds the key then ran the measured code when the block was young: TEE evidence. That its arithmetic was right
is what replays show.
"""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.appraise.intel.authentic import authenticate
from attestrain.appraise.intel.guest import check_guest, check_registers
from attestrain.appraise.intel.policy import IntelPolicy
from attestrain.appraise.intel.quote import Quote
from attestrain.appraise.refused import require
from attestrain.record.digest import Digest
from attestrain.record.evidence import MEASURED, Event, Evidence, replay, report_data
from attestrain.record.names import Address, KeyEpoch, RunId, Worker


@dataclass(frozen=True, slots=True)
class Binding:
    """What evidence has to be bound to: the arguments of `record.evidence.report_data`."""

    session: Address
    participant: Address
    run: RunId
    role: str
    worker: Worker
    key_epoch: KeyEpoch
    block_number: int
    block_hash: Digest

    @property
    def report_data(self) -> bytes:
        """The 64 bytes that the quote must carry."""
        return report_data(**{name: getattr(self, name) for name in self.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class Measured:
    """What must have been measured.

    Attributes:
        package: digest of the code that decides what the run computes, as in the run spec.
        run_spec: the run.
        dataset: digest of the dataset.
        environment: digest of the environment that the participant's `Join` names.
        dependencies: digest of the installed libraries; None leaves it to whoever reads the notes.
    """

    package: Digest
    run_spec: RunId
    dataset: Digest
    environment: Digest
    dependencies: Digest | None = None


@dataclass(frozen=True, slots=True)
class Appraisal:
    """What evidence is worth.

    Attributes:
        assurance: ``hardware`` or ``simulated``; the root alone decides.
        root: SHA-256 of the root certificate (DER).
        platform: the platform's PPID in hexadecimal.
        quoted: SHA-256 of the quote's signed part.
        tcb_status: state of the platform's trusted computing base.
        notes: what was not checked, and what is known of the platform.
    """

    assurance: str
    root: Digest
    platform: str
    quoted: Digest
    tcb_status: str
    notes: tuple[str, ...]

    @property
    def identity(self) -> tuple[Digest, str, Digest]:
        """What tells this evidence from other evidence. The bytes of a quote do not: strangers can respell them."""
        return self.root, self.platform, self.quoted


def root_of(evidence: Evidence) -> Digest:
    """SHA-256 of the root certificate that the evidence's quote brings along. Says nothing of whether it holds.

    Raises:
        Refused: the quote cannot be read.
    """
    return Quote.from_bytes(evidence.quote).root


def appraise(evidence: Evidence, binding: Binding, measured: Measured, policy: IntelPolicy, at: int) -> Appraisal:
    """Judge evidence.

    Args:
        evidence: the document.
        binding: what it has to be bound to.
        measured: what must have been measured.
        policy: what the relying party asks for.
        at: when the evidence was given, in seconds since 1970: the time of the block that took it.

    Raises:
        Refused: naming what was observed and what is required.
    """
    quote = Quote.from_bytes(evidence.quote)
    require(quote.kind.is_tdx, f"a session key is bound by a TDX quote, not by one of format {quote.kind.format}")
    check_guest(quote)
    origin = authenticate(quote, evidence.collateral, policy, at)
    check_bound(quote, evidence, binding)
    notes = check_measured(quote, evidence, measured)
    notes += [f"{name} not checked: no reference value" for name in check_registers(quote, policy)]
    notes += [f"advisory {name} concerns the platform" for name in origin.advisories]
    return Appraisal(origin.assurance, origin.root, origin.platform, quote.identity, origin.tcb_status, tuple(notes))


def check_bound(quote: Quote, evidence: Evidence, binding: Binding) -> None:
    """The quote is of this session key, participant, run, slot and block.

    Raises:
        Refused: it is of another.
    """
    named, required = (evidence.block_number, evidence.block_hash), (binding.block_number, binding.block_hash)
    require(named == required, f"the evidence names block {_block(*named)}, not {_block(*required)}")
    bound, expected = quote.field("report_data"), binding.report_data
    who = f"session key {binding.session} of {binding.role} {binding.worker} in key epoch {binding.key_epoch}"
    require(bound == expected, f"the quote is not bound to {who}: report data {bound.hex()}, not {expected.hex()}")


def _block(number: int, hash_: Digest) -> str:
    return f"{number} ({hash_.hex()})"


def check_measured(quote: Quote, evidence: Evidence, measured: Measured) -> list[str]:
    """RTMR3 holds the event log, and the log holds what is required. Returns what was not checked.

    Raises:
        Refused: it does not.
    """
    register, replayed = quote.field("rtmr3"), replay(evidence.events)
    require(register == replayed, f"RTMR3 is {register.hex()}, but the events give {replayed.hex()}")
    names = tuple(event.name for event in evidence.events)
    require(names == MEASURED, f"measured were {_listed(names)}, not {_listed(MEASURED)}")
    unchecked = []
    for event in evidence.events:
        required = getattr(measured, event.name.replace("-", "_"))
        if required is None:
            unchecked.append(f"{event.name} {event.payload[:64]} not checked: no reference value")
        else:
            _check_event(event, required)
    return unchecked


def _check_event(event: Event, required: Digest) -> None:
    require(event.payload == required.hex(), f"measured {event.name} {event.payload}, not {required.hex()}")


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names)[:300] or "nothing"
