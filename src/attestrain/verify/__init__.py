"""From a bundle and a policy to a verdict: the numbered claims that a stranger checks offline.

    (0)  structure      the folder holds exactly the files that its manifest digests, each in its place
    (1)  spec           the run spec is the one that the run is named after
    (2)  transcript     the log is append-only, signed by its key, and every entry may stand where it stands
    (3)  keys           every statement is signed by a registered key; what each key computed on is described
    (4)  receipts       one receipt per slot, and the published traces and updates are what the receipts commit to
    (5)  continuity     checkpoint 0 follows from the spec; every worker-round starts from its checkpoint and from
                        exactly the components that the worker ended with; a segment moves only what its kind may move
    (6)  assignment     every batch is the assigned one, every learning rate the spec's
    (7)  availability   updates had certificates before membership closed
    (8)  aggregation    members and checkpoints follow, bit for bit, from the published updates
    (9)  replays        every drawn segment has the finding of its assigned auditor
    (10) settlement     stake at risk, payouts equal to what the transcript implies
    (11) model          the delivered model is the last checkpoint

Every module carries the number of its claim, `verifier.verify` calls them in order. A verdict is relative to pins that
never come from the bundle (`policy`): without them the best verdict is CONSISTENT.
"""
