"""Commands `report monthly` and `report weekly`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from almanac.core.files import write_bytes, write_text
from operations.commands.options import Given, History, Kept, Log, Registry, Runs, refreshed, room_libraries
from orchestration.commands.options import command_app, example

app = command_app(
    help="Reports of a use case on a week or a month: performance, drift, alarms, actions, approvals, costs.",
    epilog=example("almanac report monthly demand --pdf demand.pdf"),
)

_Name = Annotated[str, typer.Option("--period", help="Such as 2026-10 or 2026-W44; the last one that is over.")]
_Html = Annotated[Path | None, typer.Option("--html", metavar="OUT", help="Write it as HTML.")]
_Pdf = Annotated[Path | None, typer.Option("--pdf", metavar="OUT", help="Write it as PDF.")]


@app.command(epilog=example("almanac report monthly usecases/demand.yaml --period 2026-10 --html demand.html"))
def monthly(
    usecase: Given,
    period: _Name = "",
    html: _Html = None,
    pdf: _Pdf = None,
    history: History = "",
    registry: Registry = "",
    runs: Runs = Path("runs"),
    log: Log = "",
    kept: Kept = False,
) -> None:
    """Write the report on a month."""
    _report("monthly", usecase, period, html, pdf, history, registry, runs, log, kept)


@app.command(epilog=example("almanac report weekly demand --period 2026-W44 --pdf demand.pdf"))
def weekly(
    usecase: Given,
    period: _Name = "",
    html: _Html = None,
    pdf: _Pdf = None,
    history: History = "",
    registry: Registry = "",
    runs: Runs = Path("runs"),
    log: Log = "",
    kept: Kept = False,
) -> None:
    """Write the report on a week, Monday to Sunday."""
    _report("weekly", usecase, period, html, pdf, history, registry, runs, log, kept)


def _report(
    kind: Literal["weekly", "monthly"],
    usecase: str,
    name: str,
    html: Path | None,
    pdf: Path | None,
    history: str,
    registry: str,
    runs: Path,
    log: str,
    kept: bool,
) -> None:
    # Imported here: the help would otherwise load a database's client.
    with room_libraries():
        from operations import reports
        from operations.subject import find_subject

        engine, origins = refreshed(history, registry, runs, log, kept)
    subject, now = find_subject(usecase, origins.registry), datetime.now(UTC)
    zone = subject.zone
    period = reports.period_named(kind, name, zone) if name else reports.last_period(kind, now, zone)
    report = reports.make_report(engine, subject.name, period, title=subject.title, over=period.stop <= now)
    document = report.html()
    typer.echo(f"{report.title}\n{report.verdict}")
    if html is not None:
        write_text(html, document)
    if pdf is not None:
        write_bytes(pdf, reports.to_pdf(document))
