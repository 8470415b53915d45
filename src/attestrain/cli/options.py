"""Options that every command has, and how examples stand in its help."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document to standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but results and errors.")]


def examples(*lines: str) -> str:
    """An epilogue of examples; the leading mark keeps their line breaks."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
