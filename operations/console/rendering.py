"""Rendering of the console's pages."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from almanac.reports import Times

#: Colours of series, told apart by people who see fewer of them, in light and in dark.
SERIES = ("c1", "c2", "c3", "c4", "c5", "c6")


def render(name: str, **values: Any) -> str:
    """Return a page."""
    return _environment().get_template(name).render(**values)


def part(name: str, **values: Any) -> Markup:
    """Return a part of a page."""
    return Markup(render(name, **values))  # noqa: S704 - the template escapes its values


def figure(value: Any, digits: int = 4) -> str:
    """Return a number with as many digits as people compare, and a dash for none."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def moment(value: str | None) -> str:
    """Return a time in ISO 8601 to the minute."""
    return "–" if not value else value[:16].replace("T", " ")


def data_moment(times: Times, value: str) -> str:
    """Return a time of a use case's data to the minute; where its times have no calendar, as a day of their count."""
    return moment(value) if times.origin is None else times.day(value)


def age(value: str, now: datetime | None = None) -> str:
    """Return the time since a time in ISO 8601, in one unit."""
    then = datetime.fromisoformat(value)
    seconds = ((now or datetime.now(UTC)) - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def chart(
    title: str, x: list[str], series: Mapping[str, list[float | None]], marks: Mapping[str, str] | None = None
) -> Markup:
    """Return a line chart as an element that the console's script draws, with its numbers as a table for all others.

    Args:
        title: what the chart shows, with the unit.
        x: times or names, one a point.
        series: name -> values, None where there is none.
        marks: value of x -> text of a vertical line, such as a new version.
    """
    data = json.dumps({"title": title, "x": x, "series": series, "marks": dict(marks or {})})
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in ("", *series))
    rows = "".join(
        f"<tr><th scope=row>{escape(label)}</th>"
        + "".join(f"<td>{escape(figure(values[at]))}</td>" for values in series.values())
        + "</tr>"
        for at, label in enumerate(x)
    )
    return Markup(  # noqa: S704 - every part is escaped above
        f'<figure class="chart" data-chart="{escape(data)}"><figcaption>{escape(title)}</figcaption>'
        f"<details><summary>Numbers</summary><div class=scroll tabindex=0><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div></details></figure>"
    )


def loads(text: str) -> Any:
    """Return a value of several parts as the history keeps it."""
    return json.loads(text)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("operations.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": figure, "moment": moment, "age": age, "loads": loads}
    environment.globals["chart"] = chart
    return environment
