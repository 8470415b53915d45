from __future__ import annotations

import pytest

from attestrain.appraise.nvidia.xml import MAX_DEPTH, MAX_NAMESPACES, MAX_XML, canonical, parse
from attestrain.appraise.refused import Refused

CANONICAL = {
    "empty elements are written in full": ("<a/>", "<a></a>"),
    "attributes are sorted, quoted and spaced alike": ("<a  c='1'\n b=\"2\" />", '<a b="2" c="1"></a>'),
    "attributes without a namespace stand first": (
        '<a xmlns:n="urn:a" n:b="1" z="2"/>',
        '<a xmlns:n="urn:a" z="2" n:b="1"></a>',
    ),
    "attributes are sorted by namespace, not by prefix": (
        '<a xmlns:y="urn:b" xmlns:z="urn:a" y:c="1" z:c="2"/>',
        '<a xmlns:y="urn:b" xmlns:z="urn:a" z:c="2" y:c="1"></a>',
    ),
    "namespaces are not declared twice": (
        '<a xmlns="urn:a" xmlns:n="urn:n"><b xmlns="urn:a" xmlns:n="urn:m"/></a>',
        '<a xmlns="urn:a" xmlns:n="urn:n"><b xmlns:n="urn:m"></b></a>',
    ),
    "texts are escaped": ('<a>&#38;&lt;&gt;"&#13;</a>', '<a>&amp;&lt;&gt;"&#xD;</a>'),
    "values are escaped": ("<a b='&#38;&lt;>&quot;&#9;&#10;&#13;'/>", '<a b="&amp;&lt;>&quot;&#x9;&#xA;&#xD;"></a>'),
    "sections are texts": ("<a><![CDATA[<b>]]></a>", "<a>&lt;b&gt;</a>"),
    "line ends are one character": ("<a>\r\n</a>", "<a>\n</a>"),
    "what stands around the root is left out": ('<?xml version="1.0"?>\n<a/>\n', "<a></a>"),
}
"""Examples after W3C, "Canonical XML 1.1", section 3."""


@pytest.mark.parametrize("name", CANONICAL)
def test_the_canonical_form(name: str) -> None:
    written, expected = CANONICAL[name]
    assert canonical(parse(written.encode())) == expected.encode()
    assert canonical(parse(expected.encode())) == expected.encode()


def test_an_element_alone_declares_the_namespaces_around_it() -> None:
    inner = parse(b'<a xmlns="urn:a" xmlns:n="urn:n"><b/></a>').elements[0]
    assert canonical(inner) == b'<b xmlns="urn:a" xmlns:n="urn:n"></b>'


def test_an_element_left_out_leaves_the_text_around_it() -> None:
    root = parse(b"<a>1<b>2</b>3<b>4</b></a>")
    assert canonical(root, root.elements[0]) == b"<a>13<b>4</b></a>"


REFUSED = {
    "a document type": ("<!DOCTYPE a><a/>", "document type"),
    "entities": ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type"),
    "a comment": ("<a><!-- b --></a>", "a comment"),
    "a processing instruction": ("<a><?b c?></a>", "processing instruction"),
    "an unknown prefix": ("<n:a/>", "without declaring it"),
    "an unknown prefix of an attribute": ("<a n:b='1'/>", "without declaring it"),
    "an attribute of xml": ("<a xml:base='b'/>", "the prefix xml"),
    "another meaning of xmlns": ("<a xmlns:xmlns='urn:b'/>", "the prefix xml or xmlns"),
    "a namespace taken back": ("<a xmlns='urn:a'><b xmlns=''/></a>", "take a namespace back"),
    "one attribute twice": ("<a xmlns:m='urn:n' xmlns:n='urn:n' m:b='1' n:b='2'/>", "one attribute twice"),
    "two colons": ("<a:b:c xmlns:a='urn:a'/>", "two colons"),
    "an open element": ("<a>", "not XML"),
    "two roots": ("<a/><a/>", "not XML"),
    "nothing": ("", "not XML"),
    "too deep": ("<a>" * (MAX_DEPTH + 1), f"deeper than {MAX_DEPTH}"),
    "too many namespaces": (
        "<a " + " ".join(f"xmlns:n{at}='urn:n'" for at in range(MAX_NAMESPACES + 1)) + "/>",
        f"more than {MAX_NAMESPACES} namespaces",
    ),
    "too large": ("<a>" + " " * MAX_XML + "</a>", f"more than {MAX_XML}"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_reads_differently_elsewhere_is_refused(name: str) -> None:
    written, reason = REFUSED[name]
    with pytest.raises(Refused, match=reason):
        parse(written.encode())


def test_text_in_another_encoding_is_refused() -> None:
    with pytest.raises(Refused, match="not XML"):
        parse("<?xml version='1.0' encoding='latin-1'?><a>ä</a>".encode("latin-1"))
