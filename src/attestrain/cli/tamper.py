"""`attestrain tamper`: a copy of a bundle with one lie in it, for teaching and for testing verifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attestrain.cli.options import Json, Quiet, examples
from attestrain.cli.terminal import emit, say, show_table, shown_path
from attestrain.errors import UsageError

SUMMARY = "Copy a bundle with one lie in it."
EXAMPLES = examples(
    "attestrain tamper --list                                    the lies it can tell",
    "attestrain tamper runs/X/bundle --lie poison-model --out forged",
    "attestrain verify forged --policy runs/X/policy.toml        see it caught",
)


def run(
    bundle: Annotated[Path | None, typer.Argument(metavar="BUNDLE", help="Folder of an honest bundle.")] = None,
    lie: Annotated[str | None, typer.Option("--lie", metavar="NAME", help="Which lie to tell.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where to write the forged bundle.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the lies and the claims that they break.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a copy of a bundle with one lie in it. The original is not touched."""
    from attestrain.cli.lies import LIES, tamper

    if listing:
        rows = [(name, f"({item.claim})", item.summary) for name, item in sorted(LIES.items())]
        if json:
            emit([{"lie": name, "claim": LIES[name].claim, "summary": summary} for name, _, summary in rows])
        else:
            show_table(("lie", "claim", "what it does"), rows)
        return
    if bundle is None or lie is None or out is None:
        raise UsageError("tamper takes BUNDLE, --lie and --out", hint="attestrain tamper --list shows the lies")
    told = tamper(bundle, lie, out)
    if json:
        emit({"bundle": str(out), "lie": lie, "claim": told.claim})
    say(f"wrote {shown_path(out)}: {told.summary}; claim ({told.claim}) gives it away", quiet=quiet)
