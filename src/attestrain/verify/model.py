"""Claim (11): the delivered model is the last checkpoint; and whatever else the bundle carries is what it is called."""

from __future__ import annotations

import numpy as np

from attestrain.record.blob import blob_ref
from attestrain.record.bundle import DATASET, LEAVES, MODEL, Bundle
from attestrain.record.dataset import DatasetManifest, leaves_root
from attestrain.record.digest import DIGEST_SIZE, Digest, sha256
from attestrain.record.spec import RunSpec
from attestrain.rules.ledger import Ledger
from attestrain.verify.aggregation import History
from attestrain.verify.checks import Missing, require
from attestrain.verify.safetensors import MAX_HEADER, read_safetensors
from attestrain.verify.structure import read


def check_model(bundle: Bundle, ledger: Ledger, history: History, pinned: Digest | None) -> tuple[None, str]:
    """The model's values are the last checkpoint's.

    Raises:
        Missing: there is no model, or the run is not closed.
        Contradiction, FormatError: another model.
    """
    if ledger.run_close is None:
        raise Missing("the run is not closed, so no checkpoint is delivered")
    digest = history.last.record.digest
    require(ledger.run_close.checkpoint == digest, "the run closes on a checkpoint that is not its last")
    require(pinned in (None, digest), f"the last checkpoint is {digest.hex()}, not the pinned one")
    values = read_safetensors(ledger.spec.layout, read(bundle, MODEL, 4 * ledger.spec.layout.parameters + MAX_HEADER))
    same = np.array_equal(values.view("<u4"), history.last.params.astype("<f4").view("<u4"))
    require(same, "the delivered model is not the last checkpoint")
    return None, f"{values.size} parameters, checkpoint {digest.hex()}"


def check_extras(bundle: Bundle, dataset: DatasetManifest, spec: RunSpec) -> tuple[None, str]:
    """Data and states, which replaying needs, are what their names say (claim 0).

    Raises:
        Contradiction, FormatError: one is not.
    """
    count, most = 0, max(spec.state.values())
    for path in sorted(bundle.manifest.files):
        folder, _, name = path.partition("/")
        if folder == "data":
            require(_is_of(dataset, bundle, name), f"{path} is not a file of the dataset")
        elif folder == "states":
            root = blob_ref(read(bundle, path, most)).root.hex()
            require(name == f"{root}.bin", f"{path} does not have the root that it is called by")
        count += folder in ("data", "states")
    return None, f"{count} files of data and states"


def _is_of(dataset: DatasetManifest, bundle: Bundle, name: str) -> bool:
    stem, _, kind = name.partition(".")
    path = f"data/{name}"
    if name in ("manifest.json", "train.leaves"):
        # Claim 6 has judged the same file under its other path.
        return bundle.manifest.files[path] == bundle.manifest.files.get(DATASET if kind == "json" else LEAVES)
    if name == "tokenizer.json":
        return sha256(read(bundle, path)) == dataset.tokenizer.file
    split = dict(dataset.splits()).get(stem)  # type: ignore[call-overload]  # documents.json is of no split
    expected = dataset.documents if split is None else split.tokens
    size = split.sequences * DIGEST_SIZE if split is not None and kind == "leaves" else expected.size
    if bundle.manifest.files[path].size != size:
        return False
    data = read(bundle, path)
    return leaves_root(data) == split.root if split is not None and kind == "leaves" else blob_ref(data) == expected
