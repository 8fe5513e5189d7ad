"""The pages of runs: all of them with their trend, one with its reports, and two compared."""

from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from operations.console import queries
from operations.console.files import document
from operations.console.rendering import figure, loads, moment, part
from operations.console.room import Room, page, refusal, room_of
from operations.console.run_files import read_run_file, run_files

#: Files of a run that people read.
_READ = (
    "report.html",
    "validation.html",
    "drift.html",
    "governance/index.html",
    "metrics.json",
    "gate.json",
    "run.json",
)
_ERRORS = ("rmse", "log_loss")


def history(request: Request) -> Response:
    """Answer with the runs of a use case, or of all."""
    room = room_of(request)
    use_case = room.use_case(request) if "use_case" in request.query_params else ""
    runs = room.memory.answer(("history", use_case), lambda: _read(room, use_case))
    return page(request, "history.html.j2", "History", runs=runs)


def _read(room: Room, use_case: str) -> Markup:
    """Return the runs with their trend; hundreds of rows take longer to render than all else on the page."""
    rows = queries.runs(room.engine, use_case)
    for row in rows:
        row["result"] = _result(row)
    trainings = [row for row in reversed(rows) if row["kind"] == "training"]
    names = {row["use_case"] for row in trainings}
    found = [
        each
        for name in names
        for each in queries.metrics(room.engine, name, "run", [row["id"] for row in trainings])
        if each["name"] in _ERRORS
    ]
    series: dict[str, dict[str, float]] = {}
    for each in found:
        label = f"{each['use_case']} {each['target']}" if len(names) > 1 else each["target"]
        series.setdefault(label, {})[each["subject"]] = each["value"]
    values = {name: [points.get(row["id"]) for row in trainings] for name, points in sorted(series.items())}
    trend = {"x": [row["started"] for row in trainings] if values else [], "series": values}
    failed = [
        [moment(row["failed"]), row["use_case"], row["kind"], row["step"] or "–", row["error"], row["command"] or "–"]
        for row in queries.failures(room.engine, use_case)
    ]
    return part("runs.html.j2", runs=rows, trend=trend, failed=failed)


def _result(row: dict[str, Any]) -> str:
    if row["kind"] == "monitoring":
        return "breach" if row["breached"] else "quiet"
    if row["gate_passed"] is None:
        return "finished"
    return "finished" if row["gate_passed"] else "gate closed"


def run(request: Request) -> Response:
    """Answer with one run."""
    room = room_of(request)
    row = queries.run(room.engine, request.path_params["id"])
    if row is None:
        return refusal(request, 404, "Unknown run", "The history has no such run.")
    steps = [
        [step["name"], figure(step["seconds"]), figure(step["cached"]), figure(step["rows"]), step["figure"] or "–"]
        for step in loads(row["steps"])
    ]
    figures = [
        [each["target"], each["name"], figure(each["value"])]
        for each in queries.metrics(room.engine, row["use_case"], "run", [row["id"]])
    ]
    files = run_files(room.settings.origins, row["directory"], _READ)
    return page(request, "run.html.j2", f"Run {row['id']}", run=row, steps=steps, figures=figures, files=files)


def run_file(request: Request) -> Response:
    """Answer with a file of a run that people read."""
    room, name = room_of(request), request.path_params["name"]
    row = queries.run(room.engine, request.path_params["id"])
    if row is None or not (name in _READ or (name.startswith("governance/") and name.count("/") == 1)):
        return refusal(request, 404, "Unknown file", "The run has no such file.")
    try:
        return document(name, read_run_file(room.settings.origins, row["directory"], name))
    except OSError:
        return refusal(request, 404, "Unknown file", "The run has no such file.")


def compared(request: Request) -> Response:
    """Answer with two runs compared."""
    room = room_of(request)
    ids = request.query_params.getlist("run")
    rows = [queries.run(room.engine, each) for each in ids]
    if len(rows) != 2 or rows[0] is None or rows[1] is None:
        return refusal(request, 400, "Compare two runs", "Tick two runs of the history.")
    second, first = sorted((row for row in rows if row), key=lambda row: str(row["started"]), reverse=True)
    values = [
        {
            (each["target"], each["name"]): each["value"]
            for each in queries.metrics(room.engine, row["use_case"], "run", [row["id"]])
        }
        for row in (first, second)
    ]
    same = values[0].keys() & values[1].keys()
    targets = [
        {
            "name": target,
            "rows": [
                [
                    name,
                    figure(values[0][target, name], 5),
                    figure(values[1][target, name], 5),
                    f"{values[1][target, name] - values[0][target, name]:+.4g}",
                ]
                for of, name in sorted(same)
                if of == target
            ],
        }
        for target in sorted({target for target, _ in same})
    ]
    note = "Figures as each run recorded them, on its own test span. "
    note += f"On the rows that both have: almanac compare {first['directory']} {second['directory']}"
    return page(
        request, "compare.html.j2", "Two runs", note=note, targets=targets, first=first["id"], second=second["id"]
    )
