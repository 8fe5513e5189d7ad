"""A weekly or monthly report of a use case."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from almanac.core.errors import ReportError
from almanac.reports import Page, Section, Times, plot_renderer
from operations.history import use_cases
from operations.reports.facts import Facts, read_facts
from operations.reports.period import Period
from operations.reports.rendering import fill
from operations.reports.sections import SECTIONS
from operations.reports.sections.summary import figures, verdict


@dataclass(frozen=True)
class Report:
    """A report.

    Attributes:
        title: heading, with use case and period.
        facts: the rows that it is about.
        sections: name -> section.
        over: whether the period is over.
    """

    title: str
    facts: Facts
    sections: dict[str, Section]
    over: bool

    @property
    def verdict(self) -> str:
        """The period in a sentence."""
        return verdict(self.facts)[0]

    @property
    def figures(self) -> dict[str, Any]:
        """The key numbers."""
        return figures(self.facts)

    @property
    def stated(self) -> str:
        """Begin, end and zone of the period, and the clocks of the report's times."""
        zone, note = self.facts.period.zone, "" if self.over else " The period is not over."
        of_data = "in UTC" if self.facts.times.origin is None else "in days since the start of its count"
        return (
            f"{self.facts.period.stated}.{note} Times of runs, alarms and decisions are in {zone}; windows and "
            f"predictions are of the data's clock, {of_data}."
        )

    def html(self, templates: Path | None = None) -> str:
        """Return the report as one HTML document, the same bytes for the same rows.

        Raises:
            ReportError: a template has an error.
        """
        name = f"{self.facts.period.kind}.html.j2"
        page = Page(self.title, self.stated, ())
        return fill(
            templates,
            name,
            page=page,
            sections=self.sections,
            figures=self.figures,
            verdict=self.verdict,
            stated=self.stated,
            use_case=self.facts.use_case,
            period=self.facts.period,
            svg=plot_renderer(),
        )


def make_report(
    engine: Engine, use_case: str, period: Period, *, title: str = "", times: Times | None = None, over: bool = True
) -> Report:
    """Return the report of a use case on a period.

    Args:
        engine: the history.
        use_case: its name.
        period: the period.
        title: the use case's title; its name where empty.
        times: how the times of its data are written; dates in UTC when None.
        over: whether the period is over.

    Raises:
        ReportError: the history does not know the use case.
    """
    known = use_cases(engine)
    if use_case not in known:
        raise ReportError(f"{use_case}: not in the history; it has {', '.join(known) or 'no use case'}")
    facts = read_facts(engine, use_case, period, times or Times())
    sections = {name: build(facts) for name, build in SECTIONS.items()}
    return Report(f"{title or use_case}: {period.title}", facts, sections, over)
