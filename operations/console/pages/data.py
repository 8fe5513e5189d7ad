"""The page of the data: freshness of the newest rows, and results of the validations."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from almanac.core.files import parse_json
from almanac.reports import Times
from operations.console import queries
from operations.console.rendering import data_moment, figure, loads, moment
from operations.console.room import Room, page, room_of
from operations.console.run_files import read_run_file


def data(request: Request) -> Response:
    """Answer with the page of the data."""
    room = room_of(request)
    use_case = room.use_case(request)
    values = room.memory.answer(("data", use_case), lambda: _read(room, use_case))
    return page(request, "data.html.j2", "Data", **values)


def _read(room: Room, use_case: str) -> dict[str, Any]:
    validations = []
    for row in queries.runs(room.engine, use_case):
        step = next((each for each in loads(row["steps"]) if each["name"] == "validation"), None)
        if step:
            validations.append([row["id"], moment(row["started"]), figure(step["rows"]), step["figure"] or "–"])
    freshness = [found for name in room.use_cases() if (found := _freshness(room, name))]
    return {"freshness": freshness, "validations": validations}


def _freshness(room: Room, use_case: str) -> list[str] | None:
    newest = queries.newest_run(room.engine, use_case, "monitoring")
    if newest is None:
        return None
    try:
        document = read_run_file(room.settings.origins, newest["directory"], "monitoring.json")
        found = parse_json(document).get("staleness")
        return _row(use_case, found, room.times(use_case)) if found else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _row(use_case: str, staleness: dict[str, Any], times: Times) -> list[str]:
    most = staleness["max_age_seconds"]
    return [
        use_case,
        data_moment(times, staleness["newest"]),
        f"{staleness['age_seconds'] / 3600:.1f} h",
        "–" if most is None else f"{most / 3600:.0f} h",
        figure(staleness["stale"]),
    ]
