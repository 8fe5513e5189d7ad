"""Jinja templates that cannot print a number, only a reference to one."""

from pathlib import Path
from types import CodeType
from typing import Any

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined, TemplateError
from jinja2.bccache import Bucket

from almanac.core.errors import DocumentError
from governance.documents.artifacts import tokens
from governance.documents.kind import Document, documents
from governance.documents.layout import COMPUTED, FOLDER, REGISTRATION, USECASE
from governance.documents.references import FORMATS, MARK, Ref, References, unmark, unreferenced


class _Compiled(BytecodeCache):
    """Compiled templates of this process.

    Each document has an environment of its own, which would compile them anew.
    """

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Find the code of a template with this source."""
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the code of a template."""
        if bucket.code is not None:
            self._codes[bucket.key, bucket.checksum] = bucket.code


_COMPILED = _Compiled()


def context(references: References) -> dict[str, Any]:
    """Return the names that templates see: artifacts to follow by attribute, and functions to find a target's files."""

    def name(ref: Ref) -> str:
        return tokens(ref._pointer)[-1]

    return {
        "metrics": references.ref("metrics.json"),
        "gate": references.ref("gate.json"),
        "lineage": references.ref("lineage.json"),
        "tuning": references.ref("tuning.json"),
        "model": references.ref("model/manifest.json"),
        "usecase": references.ref(USECASE),
        "registration": references.ref(REGISTRATION),
        "facts": references.ref(f"{FOLDER}/{COMPUTED}"),
        "name": name,
        "target_manifest": lambda ref: references.ref(f"model/{name(ref)}/manifest.json"),
        "features": lambda ref: references.ref(f"model/{name(ref)}/features.json"),
    }


def environment(references: References) -> Environment:
    """Return a template environment that records every printed value in `references`."""
    folders = [Path(__file__).parent, *(document.folder for document in documents())]
    jinja = Environment(
        # Macros first, then the folder of each document, which brings its own template.
        loader=FileSystemLoader(folders),
        bytecode_cache=_COMPILED,
        # A misspelt name would otherwise print nothing.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - writes Markdown; the HTML is made from it with raw HTML switched off
        # Called for every printed expression: what no filter has made a text of is recorded or refused here.
        finalize=lambda value: _print(references, value),
    )
    for form in (*FORMATS, "key"):
        jinja.filters[form] = lambda ref, form=form: references.quote(ref, form)
    jinja.filters["raw"] = lambda ref: ref._value
    return jinja


def render_document(references: References, document: Document) -> str:
    """Return a document's marked text.

    Raises:
        DocumentError: a template that cannot be rendered, a number that is not a reference, or a reference that leads
            nowhere.
    """
    try:
        marked = environment(references).get_template(document.template).render(context(references))
    except TemplateError as error:
        raise DocumentError(f"{document.template}: cannot be rendered: {error}") from error
    text, starts = unmark(marked)
    spans = [(start, start + len(references[number].text)) for number, start in starts]
    # A template's own text can hold a number as well, which `finalize` never sees.
    if stray := unreferenced(text, spans):
        raise DocumentError(f"{document.file}: line {stray[0]}: {stray[1]!r} is no reference to an artifact")
    # A template that cuts a text could cut a mark in two.
    if len(starts) != len(MARK.findall(marked)):
        raise DocumentError(f"{document.file}: a reference was lost in rendering")
    return marked


def _print(references: References, value: Any) -> Any:
    if isinstance(value, Ref):
        return references.quote(value, "text")
    # A bool is an int to Python, and no figure to a reader.
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise DocumentError(f"a template prints the bare number {value}; expected a reference")
    return value
