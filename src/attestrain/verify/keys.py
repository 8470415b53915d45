"""Claim (3): who signed on what. Registered keys, and a description of every environment they computed in.

That a statement is signed by the key registered for its slot, in the environment registered with it, was settled entry
by entry (claim 2). Evidence that a key lives inside measured code comes with TEEs.
"""

from __future__ import annotations

from attestrain.record.bundle import Bundle, environment_path
from attestrain.record.canonical import parse
from attestrain.record.digest import sha256
from attestrain.rules.ledger import Ledger
from attestrain.verify.checks import require
from attestrain.verify.structure import read

ENVIRONMENT = "attestrain.dev/environment@v1"


def check_environments(bundle: Bundle, ledger: Ledger) -> tuple[None, str]:
    """Every environment that a participant registered is described in the bundle.

    Raises:
        Missing: a description is not in the bundle.
        Contradiction, FormatError: a description is not the registered one, or belongs to nobody.
    """
    joins = [item.statement for held in ledger.joins.values() for item in held]
    digests = {join.environment for join in joins}
    for digest in sorted(digests):
        path = environment_path(digest)
        data = read(bundle, path)
        require(sha256(data) == digest, f"{path} is not the environment of that digest")
        require(parse(data).get("format") == ENVIRONMENT, f"{path} is not of format {ENVIRONMENT}")
    paths = {environment_path(digest) for digest in digests}
    strays = {path for path in bundle.manifest.files if path.startswith("environments/")} - paths
    require(not strays, f"{min(strays, default='')} is nobody's environment")
    return None, f"{len(joins)} keys, {len(digests)} environments"
