"""References: every figure of a document as a value of an artifact, with uri, sha256 and JSON pointer.

Templates hold `Ref` objects, never numbers: a reference is followed with `.key`, printed by a filter that names its
format, and marked in the text by characters that no text has. When a document is done, the marks become spans.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from almanac.core.errors import DocumentError
from governance.documents.evidence import Evidence, escape, tokens

_OPEN, _MIDDLE, _CLOSE = "\ue000", "\ue001", "\ue002"
MARK = re.compile(f"{_OPEN}(\\d+){_MIDDLE}(.*?){_CLOSE}", re.S)


def _number(digits: int, scale: float = 1.0, suffix: str = "") -> Callable[[Any], str]:
    def render(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DocumentError(f"{value!r} is not a number")
        return f"{value * scale:,.{digits}f}{suffix}"

    return render


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return re.sub(r"([\\`*\[<|])", r"\\\1", re.sub(r"\s+", " ", str(value)).strip())


def _count(value: Any) -> str:
    return f"{len(value) if isinstance(value, list | dict) else int(value):,}"


def _plain(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:,.6g}" if number else str(value)


def _figure(value: Any) -> str:
    """Return a number with four significant digits, and all digits before the point."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DocumentError(f"{value!r} is not a number")
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


#: How a value becomes text, by name; what verify repeats.
FORMATS: dict[str, Callable[[Any], str]] = {
    **{f"n{digits}": _number(digits) for digits in range(5)},
    **{f"pct{digits}": _number(digits, 100.0, " %") for digits in range(3)},
    "count": _count,
    "text": _text,
    "list": lambda value: ", ".join(_plain(item) for item in value),
    "plain": _plain,
    "g4": _figure,
}


@dataclass(frozen=True)
class Reference:
    """One figure in one document.

    Attributes:
        number: position in references.json, from 0.
        uri: artifact, relative to the run directory.
        sha256: of the artifact.
        pointer: JSON pointer into it.
        format: key of FORMATS, or `key` for the last name of the pointer itself.
        text: as printed.
    """

    number: int
    uri: str
    sha256: str
    pointer: str
    format: str
    text: str


class Ref:
    """A place in an artifact, followed by attribute or item."""

    def __init__(self, book: "Book", uri: str, pointer: str = "") -> None:
        self._book, self._uri, self._pointer = book, uri, pointer

    def __getattr__(self, name: str) -> "Ref":
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str | int) -> "Ref":
        return Ref(self._book, self._uri, f"{self._pointer}/{escape(str(name))}")

    def __iter__(self) -> Iterator["Ref"]:
        value = self._value
        names: Any = value if isinstance(value, dict) else range(len(value))
        return iter([self[name] for name in names])

    def __bool__(self) -> bool:
        try:
            return self._value not in (None, False, "", [], {})
        except DocumentError:
            return False

    @property
    def _value(self) -> Any:
        return self._book.evidence.value(self._uri, self._pointer)


@dataclass
class Book:
    """The references made so far, over all documents of a bundle."""

    evidence: Evidence
    references: list[Reference] = field(default_factory=list)

    def ref(self, uri: str, pointer: str = "") -> Ref:
        """Return a place to follow."""
        return Ref(self, uri, pointer)

    def quote(self, ref: Ref, form: str) -> str:
        """Return the marked text of a value; a null is a dash.

        Raises:
            DocumentError: the value is missing or of the wrong kind, named by uri and pointer.
        """
        text = render(self.evidence, ref._uri, ref._pointer, form)
        number = len(self.references)
        digest = self.evidence.artifact(ref._uri).sha256
        self.references.append(Reference(number, ref._uri, digest, ref._pointer, form, text))
        return f"{_OPEN}{number}{_MIDDLE}{text}{_CLOSE}"


def render(evidence: Evidence, uri: str, pointer: str, form: str) -> str:
    """Return a value as text.

    Raises:
        DocumentError: an unknown format, a missing value, or one of the wrong kind.
    """
    value = evidence.value(uri, pointer)
    if form == "key":
        return _text(tokens(pointer)[-1])
    if form not in FORMATS:
        raise DocumentError(f"{uri}#{pointer}: unknown format {form!r}")
    if value is None:
        return "–"
    try:
        return FORMATS[form](value)
    except (DocumentError, ValueError, TypeError) as error:
        raise DocumentError(f"{uri}#{pointer}: cannot be printed as {form}: {error}") from error


def unmark(marked: str) -> tuple[str, list[tuple[int, int]]]:
    """Return a document's text without marks, and (reference number, start) of each figure in it."""
    parts: list[str] = []
    places: list[tuple[int, int]] = []
    length = position = 0
    for match in MARK.finditer(marked):
        before = marked[position : match.start()]
        parts += [before, match[2]]
        places.append((int(match[1]), length + len(before)))
        length += len(before) + len(match[2])
        position = match.end()
    return "".join([*parts, marked[position:]]), places


# What may stand in a template without a reference: numbers of headings, laws and standards, not of this run.
_LITERAL = re.compile(
    r"^#+ \d+\. |^\d+\. |Articles? \d+(\(\d+\))?( (and|to) \d+(\(\d+\))?)?|"
    r"[Pp]oints? \d+(\([a-z]\))?( and \d+(\([a-z]\))?)?|Regulation \(EU\) \d+/\d+|et al\., \d{4}|RMF \d\.\d|"
    r"SLSA \d\.\d|CycloneDX \d\.\d|sha256|ECMA-\d+|Measure \d\.\d+|Govern \d\.\d+|Map \d\.\d+|Manage \d\.\d+",
    re.M,
)


def unreferenced(text: str, spans: list[tuple[int, int]]) -> tuple[int, str] | None:
    """Return line and text of the first figure outside `spans`, (start, end) each, or None if there is none."""
    covered = list(text)
    for start, end in spans:
        for index in range(start, end):
            if covered[index] != "\n":
                covered[index] = " "
    bare = _LITERAL.sub(lambda match: " " * len(match[0]), "".join(covered))
    found = re.search(r"\S*\d\S*", bare)
    return None if found is None else (bare.count("\n", 0, found.start()) + 1, found[0])
