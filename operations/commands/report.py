"""Commands `report monthly` and `report weekly`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from almanac.core.errors import NotificationError, ReportError
from almanac.core.files import write_bytes, write_text
from operations.commands.options import (
    Again,
    Given,
    History,
    Kept,
    Log,
    Registry,
    Runs,
    SettingsFile,
    opened,
    room_libraries,
)
from orchestration.commands.options import command_app, example

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from operations.notifications import Courier, Delivery
    from operations.reports import Report
    from operations.reports.period import Kind
    from operations.subject import Subject

app = command_app(
    help="Reports of a use case on a week or a month: performance, drift, alarms, actions, approvals, costs.",
    epilog=example("almanac report monthly demand --pdf demand.pdf"),
)

_Name = Annotated[str, typer.Option("--period", help="Such as 2026-10 or 2026-W44; the last one that is over.")]
_Html = Annotated[Path | None, typer.Option("--html", metavar="OUT", help="Write it as HTML.")]
_Pdf = Annotated[Path | None, typer.Option("--pdf", metavar="OUT", help="Write it as PDF.")]
_Mail = Annotated[bool, typer.Option("--mail", help="Send it to everybody whom the settings name, each once.")]


@app.command(
    "weekly",
    help="Write the report on a week, Monday to Sunday.",
    epilog=example("almanac report weekly demand --period 2026-W44 --pdf demand.pdf"),
)
@app.command(
    "monthly",
    help="Write the report on a month.",
    epilog=example("almanac report monthly usecases/demand.yaml --period 2026-10 --html demand.html"),
)
def _report(
    context: typer.Context,
    usecase: Given,
    period: _Name = "",
    html: _Html = None,
    pdf: _Pdf = None,
    mail: _Mail = False,
    again: Again = False,
    settings: SettingsFile = None,
    history: History = "",
    registry: Registry = "",
    runs: Runs = Path("runs"),
    log: Log = "",
    kept: Kept = False,
) -> None:
    # Imported here: the help would otherwise load a database's client.
    with room_libraries():
        from operations import notifications, reports
        from operations.history import update
        from operations.journal import Journal
        from operations.subject import find_subject

        path = notifications.settings_path(settings)
        # A team's templates are those of its settings, whether the report is sent or not.
        given = notifications.load_settings(path) if mail or settings or path.is_file() else None
        engine, origins = opened(history, registry, runs, log, kept)
        if not kept:
            update(engine, origins)
    subject = find_subject(usecase, origins.registry)
    made = _made(engine, subject, "weekly" if context.info_name == "weekly" else "monthly", period, mail)
    document = made.html(given.templates if given else None)
    typer.echo(f"{made.title}\n{made.verdict}")
    printed = reports.to_pdf(document) if pdf is not None or mail else b""
    if html is not None:
        write_text(html, document)
    if pdf is not None:
        write_bytes(pdf, printed)
    if mail and given is not None:
        message = notifications.report_message(made, given.console, document, printed)
        courier = notifications.Courier(Journal(origins.registry, subject.name), given)
        _send(courier, notifications.deliveries(given, message), again)
        if not kept:
            update(engine, origins)


def _made(engine: "Engine", subject: "Subject", kind: "Kind", period: str, mail: bool) -> "Report":
    """Return the report on a period by its name, or on the last one that is over.

    Raises:
        ReportError: the name of no period, or of one that is not over while the report is to be sent.
    """
    from operations import reports

    zone, now = subject.zone, datetime.now(UTC)
    span = reports.period_named(kind, period, zone) if period else reports.last_period(kind, now, zone)
    if mail and span.stop > now:
        raise ReportError(f"--period {span.name}: not over yet; a report is sent once, when all of it is known")
    return reports.make_report(
        engine, subject.name, span, title=subject.title, times=subject.times, over=span.stop <= now
    )


def _send(courier: "Courier", deliveries: "list[Delivery]", again: bool) -> None:
    lost = []
    if not deliveries:
        typer.echo("no channel of the settings wants this report")
    for delivery in deliveries:
        found = courier.deliver(delivery, again=again)
        typer.echo(f"{delivery.shown}: {found.told if found else courier.past(delivery)}")
        if found is not None and found.outcome != "sent":
            lost.append(f"{delivery.shown}: {found.told}")
    if lost:
        raise NotificationError("the report was not sent to all\n" + "\n".join(lost))
