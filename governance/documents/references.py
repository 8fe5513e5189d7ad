"""References from documents to artifacts: each printed value has a URI, a sha256 and a JSON pointer.

Templates get `Ref` objects instead of values. Following one by attribute extends its pointer; printing it through a
filter records a reference and marks the text with private-use characters, which the finished document does not keep.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from almanac.core.errors import DocumentError
from governance.documents.artifacts import Artifacts, escape, tokens

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
    # Text from an artifact must not become Markdown: a category may be any text.
    return re.sub(r"([\\`*\[<|])", r"\\\1", re.sub(r"\s+", " ", str(value)).strip())


def _count(value: Any) -> str:
    return f"{len(value) if isinstance(value, list | dict) else int(value):,}"


def _plain(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:,.6g}" if number else str(value)


def _significant(value: Any) -> str:
    """Return a number with four significant digits, and all digits before the point."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DocumentError(f"{value!r} is not a number")
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


#: Formats by name; verification applies them again.
FORMATS: dict[str, Callable[[Any], str]] = {
    **{f"n{digits}": _number(digits) for digits in range(5)},
    **{f"pct{digits}": _number(digits, 100.0, " %") for digits in range(3)},
    "count": _count,
    "text": _text,
    "list": lambda value: ", ".join(_plain(item) for item in value),
    "plain": _plain,
    "g4": _significant,
    # A JSON value is a YAML value, too: quoted texts and whole numbers for the model card's metadata.
    "json": lambda value: json.dumps(value, ensure_ascii=False),
}


@dataclass(frozen=True)
class Reference:
    """A printed value of a document.

    Attributes:
        number: position in references.json, from 0.
        uri: the artifact's path relative to the run directory.
        sha256: digest of the artifact.
        pointer: JSON pointer into the artifact.
        format: key of FORMATS, or `key` for the last key of the pointer.
        text: as printed.
    """

    number: int
    uri: str
    sha256: str
    pointer: str
    format: str
    text: str


class Ref:
    """A value of an artifact, followed by attribute or item."""

    def __init__(self, references: "References", uri: str, pointer: str = "") -> None:
        self._references, self._uri, self._pointer = references, uri, pointer

    def __getattr__(self, name: str) -> "Ref":
        # Python and Jinja look for methods such as __html__, which no artifact has.
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str | int) -> "Ref":
        return Ref(self._references, self._uri, f"{self._pointer}/{escape(str(name))}")

    def __iter__(self) -> Iterator["Ref"]:
        value = self._value
        # References again, so that what a loop prints is recorded too.
        return iter([self[name] for name in (value if isinstance(value, dict) else range(len(value)))])

    def __bool__(self) -> bool:
        try:
            return self._value not in (None, False, "", [], {})
        except DocumentError:
            return False

    @property
    def _value(self) -> Any:
        return self._references.artifacts.value(self._uri, self._pointer)


class References(list[Reference]):
    """The references of all documents of a bundle, in the order in which they were printed."""

    def __init__(self, artifacts: Artifacts) -> None:
        super().__init__()
        self.artifacts = artifacts

    def ref(self, uri: str, pointer: str = "") -> Ref:
        """Return a value to follow."""
        return Ref(self, uri, pointer)

    def quote(self, ref: Ref, form: str) -> str:
        """Return the marked text of a value; a null becomes a dash.

        Raises:
            DocumentError: the value is missing or of the wrong kind; the message names URI and pointer.
        """
        text = render(self.artifacts, ref._uri, ref._pointer, form)
        digest = self.artifacts[ref._uri].sha256
        self.append(Reference(len(self), ref._uri, digest, ref._pointer, form, text))
        return f"{_OPEN}{len(self) - 1}{_MIDDLE}{text}{_CLOSE}"


def render(artifacts: Artifacts, uri: str, pointer: str, form: str) -> str:
    """Return a value as text.

    Raises:
        DocumentError: an unknown format, a missing value, or one of the wrong kind.
    """
    value = artifacts.value(uri, pointer)
    if form == "key":
        return _text(tokens(pointer)[-1])
    if form not in FORMATS:
        raise DocumentError(f"{uri}#{pointer}: unknown format {form!r}")
    # An absent figure is said to be absent; only a pointer that leads nowhere is an error.
    if value is None:
        return "–"
    try:
        return FORMATS[form](value)
    except (DocumentError, ValueError, TypeError) as error:
        raise DocumentError(f"{uri}#{pointer}: cannot be printed as {form}: {error}") from error


def unmark(marked: str) -> tuple[str, list[tuple[int, int]]]:
    """Return a document's text without marks, and (reference number, start) of each reference in it."""
    text = ""
    starts: list[tuple[int, int]] = []
    position = 0
    for match in MARK.finditer(marked):
        text += marked[position : match.start()]
        starts.append((int(match[1]), len(text)))
        text += match[2]
        position = match.end()
    return text + marked[position:], starts


# Numbers of headings, laws, standards and protocols are not the run's, and need no reference.
_LITERAL = re.compile(
    r"^#+ \d+\. |^#+ \d+\([a-z]\) |^\d+\. |Articles? \d+(\(\d+\))?( (and|to) \d+(\(\d+\))?)?|"
    r"[Pp]oints? \d+(\([a-z]\))?( and \d+(\([a-z]\))?)?|Regulation \(EU\) \d+/\d+|et al\., \d{4}|RMF \d\.\d|"
    r"SLSA \d\.\d|CycloneDX \d\.\d|sha256|ECMA-\d+|Measure \d\.\d+|Govern \d\.\d+|Map \d\.\d+|Manage \d\.\d+|/v\d/",
    re.M,
)


def unreferenced(text: str, spans: list[tuple[int, int]]) -> tuple[int, str] | None:
    """Return line and text of the first number outside `spans`, (start, end) each, or None if there is none."""
    covered = list(text)
    for start, end in spans:
        for index in range(start, end):
            if covered[index] != "\n":
                covered[index] = " "
    bare = _LITERAL.sub(lambda match: " " * len(match[0]), "".join(covered))
    match = re.search(r"\S*\d\S*", bare)
    return None if match is None else (bare.count("\n", 0, match.start()) + 1, match[0])
