"""The runbooks as a page, with an anchor for each alert."""

import re
from pathlib import Path

from almanac.reports import Contents, Markup, Page, render

PATH = Path(__file__).resolve().parents[1] / "runbooks.md"
_ENTRY = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def entries() -> dict[str, str]:
    """Return the entry of each alert as Markdown, without its heading."""
    return {name: body.strip() for name, body in _ENTRY.findall(PATH.read_text(encoding="utf-8"))}


def anchor(alert: str) -> str:
    """Return the fragment of an alert's entry, the same on this page and in the documentation."""
    return alert.lower()


def page() -> str:
    """Return the page as HTML."""
    # Imported here: whoever serves metrics alone does without it.
    from markdown_it import MarkdownIt

    # Without HTML: a placeholder such as <model> is text, and would open an element that hides all entries after it.
    reader = MarkdownIt("commonmark", {"html": False})
    found = entries()
    sections = [
        Markup(f'<section id="{anchor(name)}"><h2>{name}</h2>{reader.render(body)}</section>')
        for name, body in found.items()
    ]
    lead = (
        "What each alert means, what to look at, and what to do. A page needs somebody now, a ticket on a working day."
    )
    return render(Page("Runbooks", lead, [Contents([(anchor(name), name) for name in found]), *sections]))
