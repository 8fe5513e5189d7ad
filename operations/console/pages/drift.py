"""The drift page: columns and outputs by window, as a share of their thresholds."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from operations.console import queries
from operations.console.room import Room, page, room_of

#: Windows side by side, and the share of a threshold from which a column is near it.
_WINDOWS, _NEAR = 24, 0.8


def drift(request: Request) -> Response:
    """Answer with the drift page."""
    room = room_of(request)
    use_case, column = room.use_case(request), request.query_params.get("column", "")
    starts, scores, report = room.memory.answer(("drift", use_case), lambda: _read(room, use_case))
    rows = [
        {"name": name, "cells": [_cell(found.get(start)) for start in starts]} for name, found in sorted(scores.items())
    ]
    series = {}
    if column in scores:
        points = [scores[column].get(start) for start in starts]
        series = {column: [point["score"] if point else None for point in points], "threshold": [1.0] * len(starts)}
    times = room.times(use_case)
    heads = [(start[5:10] if times.origin is None else times.day(start[:10]), times.day(start)) for start in starts]
    values: dict[str, Any] = {
        "heads": heads,
        "rows": rows,
        "column": column if series else "",
        "series": series,
        "report": report,
    }
    return page(request, "drift.html.j2", "Drift", **values)


def _read(room: Room, use_case: str) -> tuple[list[str], dict[str, dict[str, Any]], str]:
    windows = room.windows(use_case)[-_WINDOWS:]
    scores: dict[str, dict[str, Any]] = {}
    for row in queries.window_columns(room.engine, windows):
        name = f"{row['output']}: {row['column']}" if row["output"] else row["column"]
        scores.setdefault(name, {})[row["start"]] = row
    newest = queries.newest_run(room.engine, use_case, "monitoring")
    return [row["start"] for row in windows], scores, newest["id"] if newest else ""


def _cell(row: dict[str, Any] | None) -> dict[str, str]:
    if row is None or row["score"] is None:
        return {"text": "–", "tone": ""}
    tone = "drifted" if row["drifted"] else "near" if row["score"] >= _NEAR else ""
    return {"text": f"{row['score']:.2f}", "tone": tone}
