"""Jinja2 templates in which a number cannot be written, only referred to."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from almanac.core.errors import DocumentError
from governance.documents.references import FORMATS, MARK, Book, Ref, unmark, unreferenced

_TEMPLATES = Path(__file__).parent / "templates"

#: The Markdown documents, in the order of the bundle's index.
DOCUMENTS = {
    "model_card.md": "Model card",
    "data_card.md": "Data card",
    "risk_assessment.md": "Risk assessment",
    "audit_checklist.md": "Audit checklist",
    "retraining_plan.md": "Retraining plan",
    "annex_iv.md": "Technical documentation (EU AI Act, Annex IV)",
}


def environment(book: Book) -> Environment:
    """Return the template environment that records references in `book`."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - writes Markdown; the HTML is made from it with raw HTML switched off
        finalize=lambda value: _print(book, value),
    )
    for form in (*FORMATS, "key"):
        made.filters[form] = lambda ref, form=form: book.quote(ref, form)
    made.filters["raw"] = lambda ref: ref._value
    return made


def render_document(book: Book, name: str, context: dict[str, Any]) -> str:
    """Return a document's marked text.

    Raises:
        DocumentError: a figure that is no reference, or a reference that leads nowhere.
    """
    marked = environment(book).get_template(f"{name}.j2").render(context)
    text, places = unmark(marked)
    spans = [(start, start + len(book.references[number].text)) for number, start in places]
    found = unreferenced(text, spans)
    if found:
        raise DocumentError(f"{name}: line {found[0]}: {found[1]!r} is no reference to an artifact")
    if len(places) != len(MARK.findall(marked)):
        raise DocumentError(f"{name}: a reference was lost in rendering")
    return marked


def _print(book: Book, value: Any) -> Any:
    if isinstance(value, Ref):
        return book.quote(value, "text")
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise DocumentError(f"a template prints the bare number {value}; right would be a reference")
    return value
