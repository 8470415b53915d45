"""What the report says in plain words: verdicts, guarantees, and what is not claimed (docs/adr/0001)."""

from __future__ import annotations

from attestrain.verify.checks import CLAIMS, Status
from attestrain.verify.verdict import Outcome, Verdict

MEANING = {
    "signed": "Every receipt is signed once, by the key registered for its slot, and stands in an append-only log.",
    "continuous": (
        "Every worker started each round from the checkpoint and from exactly the state it had ended with: nothing was "
        "changed in between."
    ),
    "assigned": (
        "Every batch is the one that chance assigned from the committed dataset; every learning rate was fixed before "
        "the run."
    ),
    "available": "Updates could be fetched by anyone for as long as they could be disputed.",
    "aggregated": (
        "Whose updates counted, and what they made of the model, was computed again from the published updates and "
        "came out the same to the bit."
    ),
    "scored": "Each update was measured to lower the loss.",
    "replayed": (
        "A share of all work, drawn after it had been committed, was executed again by auditors; every drawn piece has "
        "its finding."
    ),
    "attested": "Receipts are signed by keys that, by TEE evidence, only the measured code could hold.",
    "staked": "Participants had stake at risk until the last case about their work could be over.",
    "settled": "What was set aside as pay equals, to the smallest unit, what the transcript implies.",
    "anchored": "The transcript's roots stand on a chain: its history could not be rewritten after the fact.",
    "confidential": "The data was released to attested sessions only.",
}
"""Each guarantee in one sentence."""

QUALIFIERS = {
    "simulated": (
        "rests on something made on a development machine: it shows the mechanism at work and binds nobody in earnest"
    ),
    "local": "rests on a chain that runs on the same machine as the run, and whose operator could rewrite it",
    "self-asserted": "no pin of the policy covers what it rests on: it is the bundle's own word",
    "public chain": "rests on a chain that others run too, as far as the policy pins one of its blocks",
    "hardware": "rests on the root key of a processor vendor",
}
"""What a qualifier takes away from a guarantee."""

NOT_CLAIMED = (
    (
        "That work nobody drew was done.",
        "A cheat on k segments escapes replay with probability (1 - f) to the power k.",
    ),
    ("That the model is good, safe or free of memorised data.", "The report says where it comes from."),
    (
        "That the data is what its name says, or licensed.",
        "Name, source and licence are statements; bytes are committed.",
    ),
    ("That participants are distinct people, or that most are honest.", "Accounts are not persons."),
    (
        "That a stranger is honest because a bundle is consistent.",
        "Anyone can fabricate a whole run with its keys; only pins obtained elsewhere tell it from the real one.",
    ),
    ("That TEE evidence proves correct training.", "It says which code was measured where a key lives."),
    ("That keys were never stolen.", "A stolen key signs like its owner."),
)
"""What no report of this project claims, and why."""

CLAIM_MEANING = {
    0: "the folder holds exactly the files that its manifest digests, each in its place",
    1: "the run spec is the one that the run is named after",
    2: "the log is append-only, signed by its key, and every entry may stand where it stands",
    3: "every statement is signed by a registered key; what each key computed on is described",
    4: "one receipt per slot; published traces and updates are what the receipts commit to",
    5: "every worker-round starts from its checkpoint and from what the worker ended with",
    6: "every batch is the assigned one, every learning rate the spec's",
    7: "updates had certificates before membership closed",
    8: "members and checkpoints follow, bit for bit, from the published updates",
    9: "every drawn segment has the finding of its assigned auditor",
    10: "stake at risk, payouts equal to what the transcript implies",
    11: "the delivered model is the last checkpoint",
}
"""Each claim that a verdict checks, in one line (attestrain.verify)."""
assert CLAIM_MEANING.keys() == CLAIMS.keys()


def verdict_sentence(verdict: Verdict) -> str:
    """The verdict for somebody who has never seen one."""
    if verdict.outcome is Outcome.VERIFIED:
        return "Everything that the policy asks for holds, under the pins that it names."
    if verdict.outcome is Outcome.REFUTED:
        first = next(check for check in verdict.checks if check.status is Status.FAIL)
        return f"The bundle contradicts claim ({first.claim}), {first.name}: {first.detail}"
    if verdict.outcome is Outcome.UNDECIDED:
        first = next(check for check in verdict.checks if check.missing)
        return f"Something that claim ({first.claim}), {first.name}, needs is missing: {first.detail}"
    if verdict.unmet:
        return "Nothing is wrong, but the policy asks for more than this run achieved under its pins."
    return "Nothing is wrong with this bundle, but nothing pins it: it could be somebody else's run."


CONSEQUENCE = {
    Outcome.VERIFIED: "",
    Outcome.CONSISTENT: "Rely on what is listed as achieved, and on nothing that reads self-asserted.",
    Outcome.UNDECIDED: "Nothing below can be relied on before the missing part is found.",
    Outcome.REFUTED: "Nothing below can be relied on.",
}
"""What a reader should make of the rest of the page."""
