"""XML, as little of it as signed files of reference values take, and its canonical form.

No document type, hence no entities; no comments, no processing instructions, no `xml:` attributes: whatever reads
differently in two parsers is refused. What is left has a short canonical form (W3C, "Canonical XML 1.1", section 2.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from attestrain.appraise.refused import Refused, require

MAX_XML = 262_144
"""Largest document: genuine ones have 20,519 bytes."""
MAX_DEPTH = 16
"""Deepest nesting: genuine documents have 5 levels."""
MAX_NAMESPACES = 16
"""Most namespaces in scope: genuine documents have 5, and each element outside writes all of them."""


@dataclass(slots=True)
class Element:
    """An element as written.

    Attributes:
        name: with its prefix.
        scope: namespaces in scope, by prefix; "" is the default one.
        attributes: with their prefixes, in the order of the document.
        children: elements and texts.
    """

    name: str
    scope: Mapping[str, str]
    attributes: Mapping[str, str]
    children: list[Element | str] = field(default_factory=list)

    @property
    def kind(self) -> tuple[str, str]:
        """Namespace and local name."""
        return expanded(self.name, self.scope)

    @property
    def elements(self) -> list[Element]:
        """The children that are elements."""
        return [child for child in self.children if isinstance(child, Element)]

    @property
    def text(self) -> str:
        """What it holds, if that is text alone.

        Raises:
            Refused: it holds elements.
        """
        require(not self.elements, f"element {self.name} of the reference values holds elements")
        return "".join(child for child in self.children if isinstance(child, str))

    def attribute(self, name: str, namespace: str = "") -> str:
        """An attribute's value.

        Raises:
            Refused: there is none.
        """
        for written, value in self.attributes.items():
            if expanded(written, self.scope, attribute=True) == (namespace, name):
                return value
        raise Refused(f"element {self.name} of the reference values has no attribute {name}")


def expanded(written: str, scope: Mapping[str, str], *, attribute: bool = False) -> tuple[str, str]:
    """Namespace and local name of a written name. The default namespace is not of attributes.

    Raises:
        Refused: its prefix is not declared.
    """
    prefix, colon, local = written.rpartition(":")
    if not colon:
        return ("" if attribute else scope.get("", "")), written
    require(prefix in scope, f"the reference values use the prefix {prefix[:32]!r} without declaring it")
    return scope[prefix], local


def parse(data: bytes) -> Element:
    """Read a document; returns its root.

    Raises:
        Refused: not well-formed UTF-8 XML of the kind described above, too large, or too deep.
    """
    require(len(data) <= MAX_XML, f"the reference values have {len(data)} bytes, more than {MAX_XML}")
    builder = _Builder()
    try:
        return builder.build(data.decode("utf-8"))
    except (UnicodeDecodeError, expat.ExpatError) as error:
        raise Refused(f"the reference values are not XML: {error}") from error


class _Builder:
    """Turns expat's events into elements."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate()
        self._parser.ordered_attributes = True
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.CommentHandler = self._refuse
        self._parser.ProcessingInstructionHandler = self._refuse
        self._open: list[Element] = []
        self._root: Element | None = None

    def build(self, text: str) -> Element:
        """Read ``text``, which expat takes as UTF-8 whatever the document says of itself."""
        self._parser.Parse(text, True)
        if self._root is None:
            raise Refused("the reference values are an empty document")
        return self._root

    def _start(self, name: str, listed: list[str]) -> None:
        require(len(self._open) < MAX_DEPTH, f"the reference values are nested deeper than {MAX_DEPTH} levels")
        written = dict(zip(listed[::2], listed[1::2], strict=True))
        declared = {key[6:]: value for key, value in written.items() if key == "xmlns" or key.startswith("xmlns:")}
        attributes = {key: value for key, value in written.items() if key != "xmlns" and not key.startswith("xmlns:")}
        _check_names(name, declared, attributes)
        around = self._open[-1].scope if self._open else {}
        scope = {**around, **declared} if declared else around
        require(len(scope) <= MAX_NAMESPACES, f"the reference values use more than {MAX_NAMESPACES} namespaces")
        element = Element(name, scope, attributes)
        _check_unique(element)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        # Outside the root there is only white space, which the canonical form leaves out.
        if self._open:
            self._open[-1].children.append(text)

    def _refuse(self, *_: object) -> NoReturn:
        raise Refused("the reference values hold a document type, a comment or a processing instruction")


def _check_names(name: str, declared: Mapping[str, str], attributes: Mapping[str, str]) -> None:
    prefixes = [written.partition(":")[0] for written in (name, *attributes) if ":" in written]
    plain = all(written.count(":") <= 1 for written in (name, *attributes))
    require(plain and "" not in prefixes, "the reference values hold a name with two colons or an empty prefix")
    # `xml` is bound without being declared, and its attributes are inherited: the canonical form below knows neither.
    reserved = {"xml", "xmlns"} & {*prefixes, *declared}
    require(not reserved, "the reference values use the prefix xml or xmlns")
    require(all(declared.values()), "the reference values take a namespace back")


def _check_unique(element: Element) -> None:
    names = [expanded(written, element.scope, attribute=True) for written in element.attributes]
    require(len(set(names)) == len(names), f"element {element.name[:64]} holds one attribute twice")
    expanded(element.name, element.scope)


def canonical(element: Element, without: Element | None = None) -> bytes:
    """The canonical form of ``element``, standing alone.

    Args:
        element: namespaces in scope around it are declared in it, as inclusive canonicalisation asks.
        without: an element inside it to leave out.
    """
    return "".join(_pieces(element, {}, without)).encode("utf-8")


def _pieces(element: Element, around: Mapping[str, str], without: Element | None) -> Iterator[str]:
    spaces = {prefix: uri for prefix, uri in element.scope.items() if around.get(prefix) != uri}
    yield f"<{element.name}"
    for prefix in sorted(spaces):
        yield f' {"xmlns:" if prefix else "xmlns"}{prefix}="{_attribute(spaces[prefix])}"'
    for written in sorted(element.attributes, key=lambda name: expanded(name, element.scope, attribute=True)):
        yield f' {written}="{_attribute(element.attributes[written])}"'
    yield ">"
    for child in element.children:
        if isinstance(child, str):
            yield _content(child)
        elif child is not without:
            yield from _pieces(child, element.scope, without)
    yield f"</{element.name}>"


def _content(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#xD;")


def _attribute(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return escaped.replace("\t", "&#x9;").replace("\n", "&#xA;").replace("\r", "&#xD;")
