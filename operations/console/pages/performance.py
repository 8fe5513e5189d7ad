"""The performance page: errors and coverage over time against the expected ones, with the versions marked."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from almanac.reports import Times
from operations.console import queries
from operations.console.rendering import chart, data_moment, loads
from operations.console.room import Room, page, room_of

#: Windows in the table; the charts show more of them.
_LISTED = 60


def performance(request: Request) -> Response:
    """Answer with the performance page."""
    room = room_of(request)
    use_case = room.use_case(request)
    values = room.memory.answer(("performance", use_case), lambda: _read(room, use_case))
    return page(request, "performance.html.j2", "Performance", **values)


def _read(room: Room, use_case: str) -> dict[str, Any]:
    windows, times = room.windows(use_case), room.times(use_case)
    by_target: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    for row in queries.window_targets(room.engine, windows):
        by_target.setdefault(row["target"], {})[row["run"], row["start"]] = row
    counted = queries.requests(room.engine, use_case)
    hours = [times.day(row["hour"]) for row in counted]
    counts: list[float | None] = [float(row["count"]) for row in counted]
    return {
        "targets": [_target(name, rows, windows, times) for name, rows in sorted(by_target.items())],
        "windows": [
            [
                data_moment(times, row["start"]),
                data_moment(times, row["stop"]),
                row["version"],
                f"{row['rows']:,}",
                "breach" if row["breach"] else "no",
                "yes" if row["drifted"] else "no",
                "; ".join(loads(row["reasons"])),
            ]
            for row in windows[: -_LISTED - 1 : -1]
        ],
        "requests": chart("Predictions logged by hour", hours, {"predictions": counts}) if hours else "",
    }


def _target(
    name: str, rows: dict[tuple[str, str], dict[str, Any]], windows: list[dict[str, Any]], times: Times
) -> dict[str, Any]:
    found = [rows.get((window["run"], window["start"]), {}) for window in windows]
    stops, marks = [times.day(window["stop"]) for window in windows], _marks(windows, times)
    errors = {
        "error": [row.get("mae") for row in found],
        "expected from the inputs": [row.get("estimated_mae") for row in found],
        "persistence": [row.get("baseline_mae") for row in found],
    }
    coverage = {"coverage": [row.get("coverage") for row in found]}
    return {
        "name": name,
        "charts": [
            chart(f"Mean absolute error of {name} by window", stops, errors, marks),
            chart(f"Share of truths within the interval, {name}", stops, coverage, marks),
        ],
    }


def _marks(windows: list[dict[str, Any]], times: Times) -> dict[str, str]:
    """Return the first window of each version after the first one."""
    marks, before = {}, None
    for window in windows:
        if before is not None and window["version"] != before:
            marks[times.day(window["stop"])] = f"v{window['version']}"
        before = window["version"]
    return marks
