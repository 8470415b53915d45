from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.vectors.make_verify import TARGET, make

SPEC = Path(__file__).parents[2] / "spec"


def test_the_vectors_are_derived_again() -> None:
    assert json.loads(json.dumps(make())) == json.loads(TARGET.read_text())


@pytest.mark.parametrize(("page", "part"), [("bundle", "manifest"), ("policy", "policy"), ("verdict", "verdict")])
def test_each_page_shows_its_vector_verbatim(page: str, part: str) -> None:
    vector = json.loads(TARGET.read_text())[part]
    text = vector if isinstance(vector, str) else json.dumps(vector)
    assert text.strip() in (SPEC / f"{page}.md").read_text()
