"""The pages of versions: all of a use case, and one against production, with its documents and the decision."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from almanac.core.errors import AlmanacError
from governance.registry import Registry
from governance.registry.comparison import compare
from governance.registry.stages import no_way_back, rollback_history
from governance.registry.versions import read_blob
from operations.console import queries
from operations.console.files import document
from operations.console.rendering import figure, moment
from operations.console.room import Room, page, refusal, room_of, session_of

_FIGURES = ("rmse", "mae", "log_loss", "coverage.overall")
#: Figures of the page of one version; metrics.json has many more.
_COMPARED = (*_FIGURES, "r2", "bias", "brier", "auc", "smape", "n")


def versions(request: Request) -> Response:
    """Answer with the versions of a use case."""
    room = room_of(request)
    use_case = room.use_case(request)
    values = room.memory.answer(("versions", use_case), lambda: _read(room, use_case))
    session = session_of(request)
    may = {"rollback": bool(session and session.user.may("rollback"))}
    return page(request, "versions.html.j2", "Versions and approvals", may=may, **values)


def _read(room: Room, use_case: str) -> dict[str, Any]:
    rows = queries.versions(room.engine, use_case)
    figures = queries.metrics(room.engine, use_case, "version", [str(row["number"]) for row in rows])
    by_key = {
        (row["subject"], f"{row['target']} {row['name']}"): row["value"] for row in figures if row["name"] in _FIGURES
    }
    names = sorted({name for _, name in by_key})
    return {
        "no_way_back": _no_way_back(room, use_case),
        "figure_names": names,
        "versions": [{**row, "figures": [by_key.get((str(row["number"]), name)) for name in names]} for row in rows],
        "approvals": [
            [moment(row["when"]), row["who"], row["identity"], row["decision"], row["subject"], row["why"]]
            for row in queries.approvals(room.engine, use_case)
        ],
        "events": [
            [row["number"], moment(row["when"]), row["kind"], row["version"] or "–", row["who"], row["why"]]
            for row in queries.events(room.engine, use_case)
        ],
    }


def _no_way_back(room: Room, use_case: str) -> str:
    """Return the reason why production cannot be rolled back; empty where it can."""
    try:
        state = Registry(room.registry).registered(use_case)
    except (AlmanacError, OSError) as error:
        return str(error)
    return "" if rollback_history(state) else no_way_back(state)


def version(request: Request) -> Response:
    """Answer with one version."""
    room, use_case = room_of(request), request.path_params["use_case"]
    number = int(request.path_params["number"])
    row = next((each for each in queries.versions(room.engine, use_case) if each["number"] == number), None)
    if row is None:
        return refusal(request, 404, "Unknown version", f"{use_case} has no version {number}.")
    key = ("version", use_case, number)
    compared, differences, documents = room.memory.answer(key, lambda: _against_production(room, use_case, number))
    session = session_of(request)
    acts = [act for act in _acts(row) if session and session.user.may(act[0])]
    signed = room.settings.signing is not None and "console" in Registry(room.registry).policy(use_case).attesters
    who = session.user.name if session else ""
    proof = f"The event names {who}, and " + (
        "the console signs it." if signed else "nobody signs it: the registry's policy pins no key of this console."
    )
    return page(
        request,
        "version.html.j2",
        f"{use_case} version {number}",
        use_case=use_case,
        version=row,
        compared=compared,
        differences=differences,
        documents=documents,
        acts=acts,
        proof=proof,
    )


def _acts(row: dict[str, Any]) -> list[tuple[str, str, str]]:
    if row["rejected"]:
        return []
    acts = [
        ("approve", "Approve", ""),
        ("promote", "Promote to production", ""),
        ("reject", "Reject for good", "danger"),
    ]
    if row["stage"] == "production":
        return acts[:1]
    return acts


def _against_production(room: Room, use_case: str, number: int) -> tuple[list[Any], list[list[str]], list[str]]:
    registry = Registry(room.registry)
    files = sorted(name for name in registry.files(use_case, number) if name.endswith((".html", ".md")))
    current = registry.current(use_case)
    if current is None or current.number == number:
        return [], [], files
    try:
        found = compare(registry, use_case, "production", str(number))
    except AlmanacError as error:
        return [{"target": "Comparison", "note": str(error), "rows": []}], [], files
    tables = []
    for target, values in found["figures"].items():
        same = {True: "Both were scored on the same rows.", False: "The rows differ, so that no difference is given."}
        rows = [
            [name, *(figure(part[which], 5) for which in ("first", "second", "difference"))]
            for name, part in values["metrics"].items()
            if name in _COMPARED
        ]
        note = same.get(values["same_rows"], "Nobody recorded the rows, so that no difference is given.")
        tables.append({"target": target, "note": note, "rows": rows})
    differences = [
        [f"{part}: {path}", figure(pair[0]), figure(pair[1])]
        for part in ("parameters", "data")
        for path, pair in found[part].items()
    ]
    return tables, differences, files


def version_file(request: Request) -> Response:
    """Answer with a document of a version."""
    room, use_case = room_of(request), request.path_params["use_case"]
    name = request.path_params["name"]
    registry = Registry(room.registry)
    if use_case not in room.use_cases():
        return refusal(request, 404, "Unknown use case", f"There is no use case {use_case}.")
    try:
        files = registry.files(use_case, str(int(request.path_params["number"])))
    except AlmanacError as error:
        return refusal(request, 404, "Unknown version", str(error))
    if name not in files:
        return refusal(request, 404, "Unknown document", f"The version has no file {name}.")
    return document(name, read_blob(registry.store, name, files[name]["sha256"]))
