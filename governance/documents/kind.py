"""Kinds of governance documents: one folder each, from this package and from installed extensions.

A package adds a document by an entry point in the group `almanac.documents` that names a `Document`. Its folder holds
the template `<name>.md.j2`, which may import `_macros.j2` and sees what `render.context` lists.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from almanac import evaluation, reports
from almanac.core.errors import DocumentError
from almanac.core.files import sha256_bytes, sha256_file
from almanac.core.kinds import Kinds
from governance import documents as documents_package
from governance.documents.artifacts import Artifacts
from governance.documents.layout import COMMON_FILES


@dataclass(frozen=True, eq=False)
class Document:
    """A kind of Markdown document.

    Attributes:
        name: lower-case letters, digits and underscores; the document is `<name>.md`.
        title: as the index page shows it.
        folder: where its template `<name>.md.j2` is.
        order: position on the index page; this package's documents have 10 to 60.
        required: whether a version needs the document to be promoted.
        statements: statements that the use case must make for it: key -> what the statement has to say.
        facts: derives further values from the artifacts, by their keys in computed.json; templates see them as `facts`.
    """

    name: str
    title: str
    folder: Path
    order: int = 100
    required: bool = True
    statements: Mapping[str, str] = field(default_factory=dict)
    facts: Callable[[Artifacts], Mapping[str, Any]] = lambda artifacts: {}

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise DocumentError(f"document {self.name!r}: expected a name of lower-case letters, digits and _")
        if not (self.folder / self.template).is_file():
            raise DocumentError(f"{self.folder / self.template}: missing; it is the template of document {self.name!r}")

    @property
    def file(self) -> str:
        """Name of the written document."""
        return f"{self.name}.md"

    @property
    def template(self) -> str:
        """Name of the template in `folder`."""
        return f"{self.name}.md.j2"


KINDS: Kinds[Document] = Kinds("document", "governance.documents.kinds", "almanac.documents")


def documents() -> list[Document]:
    """Return the installed kinds in the order of the index page."""
    return sorted(KINDS.values(), key=lambda document: (document.order, document.name))


def own_documents() -> list[Document]:
    """Return Almanac's own kinds, without those of extensions."""
    return [document for document in documents() if not KINDS.package(document.name)]


def required_files() -> dict[str, str]:
    """Return the documents that promotion requires: file -> package that writes it, "" for Almanac."""
    return {document.file: KINDS.package(document.name) for document in documents() if document.required}


def complete_files() -> list[str]:
    """Return every file that a governance directory must hold before its version may be promoted."""
    return [*required_files(), *COMMON_FILES]


@cache
def rules() -> str:
    """Return the digest of the code and templates that documents and their figures come from.

    A manifest records it, so that a verification can tell an altered document from one made by another release.
    """
    # The page is drawn by the templates of reports, and what documents quote is computed by the evaluation: where one
    # of them has changed, another release wrote the documents.
    folders = [Path(str(package.__file__)).parent for package in (documents_package, evaluation, reports)]
    sources = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in (".py", ".j2")]
    return sha256_bytes("".join(sha256_file(path) for path in sources).encode())
