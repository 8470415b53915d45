"""`python -m attestrain`: the command line where its script is not on the path."""

from __future__ import annotations

from attestrain.cli.main import main

main()
