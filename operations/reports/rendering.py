"""Rendering of reports as HTML and PDF, by templates that a team can change."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from almanac.core.errors import ReportError
from almanac.reports import template_environment

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment(templates: Path | None) -> "Environment":
    """Return the environment of the room's templates; those in a team's directory come before ours.

    Raises:
        ReportError: the directory is missing.
    """
    from jinja2 import FileSystemLoader, PackageLoader

    if templates is not None and not templates.is_dir():
        raise ReportError(f"templates {templates}: no such directory")
    theirs = [] if templates is None else [FileSystemLoader(templates)]
    ours = [PackageLoader("operations.reports"), PackageLoader("operations.notifications")]
    found = template_environment(*theirs, *ours)
    found.filters["slack"] = _for_slack
    return found


def fill(templates: Path | None, name: str, **values: Any) -> str:
    """Return a template filled in.

    Raises:
        ReportError: the template has an error or asks for a value that does not exist; file and line are named.
    """
    from jinja2 import TemplateError, TemplateSyntaxError

    try:
        return environment(templates).get_template(name).render(**values)
    except TemplateSyntaxError as error:
        raise ReportError(f"{error.filename or name}, line {error.lineno}: {error.message}") from None
    except (TemplateError, TypeError, ArithmeticError, LookupError) as error:
        raise ReportError(f"{_place(error, name)}: {error or type(error).__name__}") from None


def to_pdf(html: str) -> bytes:
    """Return an HTML document as PDF, the same bytes for the same document; nothing is loaded from elsewhere.

    Raises:
        ReportError: WeasyPrint or Pango is missing, or the document names a file or an address.
    """
    try:
        from weasyprint import HTML
        from weasyprint.urls import FatalURLFetchingError, URLFetcher
    except (ImportError, OSError) as error:
        raise ReportError(
            "PDF needs WeasyPrint and Pango: install the extra almanac[console] and Debian's libpango-1.0-0 and "
            f"libpangoft2-1.0-0 ({str(error).splitlines()[0]})"
        ) from None
    # What a document carries itself, as an image in an address of its own, is all that it may show.
    fetcher = URLFetcher(allowed_protocols=("data",), fail_on_errors=True)
    try:
        data: bytes = HTML(string=html, url_fetcher=fetcher).write_pdf(pdf_tags=True)
    except FatalURLFetchingError as error:
        raise ReportError(
            f"{str(error)[:120]}: a report loads nothing from elsewhere; write an image into the template as data:…"
        ) from None
    return data


def _for_slack(text: str) -> str:
    """Return a text in one line without Slack's markup, by which a typed reason could mention all of a channel."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("`", "'")


def _place(error: BaseException, name: str) -> str:
    """Return file and line of the innermost template that an error passed through."""
    place, trace = name, error.__traceback__
    while trace is not None:
        if (file := trace.tb_frame.f_code.co_filename).endswith(".j2"):
            place = f"{file}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place
