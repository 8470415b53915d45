from __future__ import annotations

import json
import subprocess
import sys

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from attestrain.errors import FormatError
from attestrain.record.canonical import MAX_INTEGER, canonical, parse

KEYS = st.text(st.characters(min_codepoint=0, max_codepoint=127), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=4) | st.dictionaries(KEYS, v, max_size=4), max_leaves=12)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=6)


@given(DOCUMENTS)
def test_bytes_equal_an_independent_rfc_8785_and_read_back(document):
    data = canonical(document)
    assert data == rfc8785.dumps(document)
    assert parse(data) == document


@given(DOCUMENTS.filter(lambda document: len(document) > 1 or any(document.values())))
def test_any_other_spelling_of_a_document_is_refused(document):
    spelled = json.dumps(document, indent=1).encode()
    if spelled != canonical(document):
        with pytest.raises(FormatError):
            parse(spelled)


@given(st.binary(max_size=60))
def test_arbitrary_bytes_read_or_fail_in_the_one_way(data):
    try:
        document = parse(data)
    except FormatError:
        return
    assert canonical(document) == data


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":2}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":-0}',
        b'{"a":9007199254740992}',
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\ud800"}',
        b'{"\xc3\xa9":1}',
        b"[]",
        b"1",
        b"",
        b'{"a":1}\n',
        b"\xef\xbb\xbf{}",
        b'{"a":"\xff"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' + b"[" * 30 + b"]" * 30 + b"}",
        b'{"a":' + b"9" * 5000 + b"}",
    ],
    ids=lambda data: data[:24],
)
def test_refused_documents(data):
    with pytest.raises(FormatError):
        parse(data)


@pytest.mark.parametrize("value", [1.0, b"x", {"a": {1: 2}}, 2**53, -(2**53), "\ud800", {"\xe9": 1}, object()])
def test_values_without_a_canonical_form(value):
    with pytest.raises(FormatError):
        canonical({"a": value})


def test_size_limit_is_checked_before_parsing():
    with pytest.raises(FormatError, match="larger than 10"):
        parse(b"[" * 11, max_bytes=10)


def test_deep_nesting_is_refused_whatever_the_recursion_limit():
    # In a process of its own, because failing means a stack overflow. Brackets inside texts are not nesting.
    program = """
import sys
sys.setrecursionlimit(1_000_000)
from attestrain.errors import FormatError
from attestrain.record.canonical import canonical, parse
for data in (b"[" * 500_000, b'{"a":' * 200_000, b'["[{",' * 200_000, b'["\\\\\\\\",' * 200_000):
    try:
        parse(data)
    except FormatError as error:
        assert "nested deeper" in str(error), error
    else:
        raise SystemExit("accepted")
text = {"a": '[[{"' * 1000 + "\\\\" * 1001, "b": [[1]] * 100}
assert parse(canonical(text)) == text
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
