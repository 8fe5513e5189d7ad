"""The production checklist, filled in with the results of the checks."""

from collections.abc import Iterable
from datetime import datetime

from operations.doctor.examination import Result
from operations.doctor.finding import Status

_MARKS: dict[Status, str] = {"ok": "x", "warning": "!", "failed": " ", "skipped": "-"}


def fill(results: Iterable[Result], now: datetime, who: str) -> str:
    """Return the checklist as Markdown: a line for each question, and its findings below.

    Args:
        results: what the checks found.
        now: time of the examination.
        who: who asked for it.
    """
    lines = ["# Production checklist", "", f"Filled in by `almanac doctor` for {who}, {now:%Y-%m-%d %H:%M} UTC.", ""]
    lines += ["`x` holds, `!` holds with a remark, a blank does not hold, `-` was not looked at.", ""]
    for result in results:
        lines.append(f"- [{_MARKS[result.status]}] **{result.check.name}**: {result.check.question}")
        for finding in result.findings:
            remedy = f". Remedy: {finding.remedy}" if finding.remedy else ""
            lines.append(f"    - {finding.status}: {finding.fact}{remedy}")
    return "\n".join(lines) + "\n"
