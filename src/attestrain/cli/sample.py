"""The bundle that ships with the package, so that `verify --sample` works straight after the base install.

It is one archive, ``data/sample.zip``, made by `tools/make_sample.py` from a real run: ``bundle/...`` and
``policy.toml``.
"""

from __future__ import annotations

import io
import zipfile
from importlib import resources

from attestrain.errors import UsageError
from attestrain.record.bundle import MemoryFiles
from attestrain.verify.policy import Policy

PATH = "data/sample.zip"
BUNDLE = "bundle/"
POLICY = "policy.toml"


def load_sample() -> tuple[MemoryFiles, Policy]:
    """The packaged bundle and its policy.

    Raises:
        UsageError: the package is damaged.
    """
    try:
        data = resources.files("attestrain").joinpath(PATH).read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        policy = Policy.from_toml(content[POLICY].decode("utf-8"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"the packaged sample cannot be read: {error}", hint="reinstall attestrain") from error
    bundle = {name.removeprefix(BUNDLE): data for name, data in content.items() if name.startswith(BUNDLE)}
    return MemoryFiles(bundle), policy
