"""Messages that carry a report."""

import shlex
from datetime import UTC
from urllib.parse import urlencode

from operations.notifications.message import Message
from operations.reports import Report

_NUMBERS = ("windows", "windows_breached", "alarms_fired", "trainings", "gates_closed", "runs_failed", "decisions")


def report_message(report: Report, console: str, html: str, pdf: bytes) -> Message:
    """Return the message that carries a report.

    Args:
        report: the report.
        console: address of the console.
        html: the report as HTML.
        pdf: the report as PDF.
    """
    facts, period = report.facts, report.facts.period
    numbers = ", ".join(f"{name.replace('_', ' ')}: {report.figures[name]:,}" for name in _NUMBERS)
    name = f"{facts.use_case}-{period.name}"
    words = ("almanac", "report", period.kind, facts.use_case, "--period", period.name, "--pdf", f"{name}.pdf")
    return Message(
        kind=period.kind,
        use_case=facts.use_case,
        identity=period.name,
        title=f"{period.kind.capitalize()} report, {period.title}",
        lines=(report.verdict, f"{numbers}.", report.stated),
        link=f"{console}/performance?{urlencode({'use_case': facts.use_case})}",
        command=shlex.join(words),
        when=period.stop.astimezone(UTC).isoformat(timespec="milliseconds"),
        facts={"period": period.name, "start": period.start.isoformat(), "stop": period.stop.isoformat()}
        | {"zone": period.zone, "verdict": report.verdict, "figures": report.figures},
        documents={f"{name}.html": html.encode(), f"{name}.pdf": pdf},
    )
