"""The overview: the use cases, their health, and tasks that wait for a person."""

from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from operations.console import queries
from operations.console.rendering import age, moment
from operations.console.room import Room, page, room_of

#: Failed runs older than this are found in the history alone.
_NEWS = timedelta(days=7)


def overview(request: Request) -> Response:
    """Answer with the overview."""
    room = room_of(request)
    values = room.memory.answer(("overview",), lambda: _read(room))
    return page(request, "overview.html.j2", "Overview", **values)


def _read(room: Room) -> dict[str, Any]:
    alarms = queries.alarms(room.engine)
    shown = [
        [moment(row["when"]), row["use_case"], row["name"], row["state"], row["severity"], row["summary"]]
        for row in alarms[:20]
    ]
    sent = [
        [moment(row["when"]), row["use_case"], row["channel"], row["outcome"], row["summary"]]
        for row in queries.notifications(room.engine)[:20]
    ]
    cases = [_case(room, name) for name in room.use_cases()]
    return {"waiting": _waiting(room), "cases": cases, "alarms": shown, "messages": sent}


def _waiting(room: Room) -> list[dict[str, Any]]:
    found = [
        {
            "state": row["status"],
            "path": f"/versions/{row['use_case']}/{row['number']}",
            "text": f"{row['use_case']} version {row['number']}",
            "note": f"proposed by {row['proposer']} {age(row['registered'])} ago",
        }
        for row in queries.waiting_versions(room.engine)
    ]
    found += [
        {
            "state": row["status"],
            "path": f"/agent?use_case={row['use_case']}#plan-{row['digest'][:12]}",
            "text": f"{row['use_case']}: plan of a retraining",
            "note": f"proposed by {row['proposer']}, until {moment(row['expires'])}",
        }
        for row in queries.open_plans(room.engine, datetime.now(UTC).isoformat())
    ]
    firing = {}
    for row in reversed(queries.alarms(room.engine)):
        firing[row["use_case"], row["name"]] = row
    found += [
        {
            "state": "firing",
            "path": f"/agent?use_case={row['use_case']}",
            "text": f"{row['use_case']}: {row['name']}",
            "note": row["summary"],
        }
        for row in firing.values()
        if row["state"] == "firing"
    ]
    return found


def _case(room: Room, name: str) -> dict[str, Any]:
    versions = queries.versions(room.engine, name)
    production = next((row for row in versions if row["stage"] == "production"), None)
    monitoring = queries.newest_run(room.engine, name, "monitoring")
    training = queries.newest_run(room.engine, name, "training")
    breached = bool(monitoring and monitoring["breached"])
    failed = _failed(room, name, versions)
    facts = [("in production", f"version {production['number']}" if production else "–")]
    if production:
        figures = queries.metrics(room.engine, name, "version", [str(production["number"])])
        facts += [
            (f"{row['target']} {row['name']}", f"{row['value']:.4g}")
            for row in figures
            if row["name"] in ("rmse", "log_loss")
        ]
    facts.append(("last training", f"{age(training['started'])} ago" if training else "–"))
    facts.append(("last monitoring", f"{age(monitoring['started'])} ago" if monitoring else "–"))
    state = "breach" if breached else "healthy" if production and monitoring else "not watched yet"
    if failed:
        state = f"breach, {failed['kind']} failed" if breached else f"{failed['kind']} failed"
        facts.append(("last failure", f"{age(failed['failed'])} ago, {failed['step'] or 'unknown step'}"))
    return {"name": name, "state": state, "bad": breached or failed is not None, "facts": facts}


def _failed(room: Room, name: str, versions: list[queries.Row]) -> queries.Row | None:
    """Return the newest failed run that is not old, and after which none of its kind has succeeded."""
    since, newest = datetime.now(UTC) - _NEWS, dict[str, queries.Row]()
    for row in queries.failures(room.engine, name):
        if datetime.fromisoformat(row["failed"]) >= since:
            newest.setdefault(row["kind"], row)
    return next((row for row in newest.values() if not _is_over(room, name, row, versions)), None)


def _is_over(room: Room, name: str, failed: queries.Row, versions: list[queries.Row]) -> bool:
    later = queries.newest_run(room.engine, name, failed["kind"])
    # A training on a cluster leaves a version.
    ends = [row["registered"] for row in versions] if failed["kind"] == "training" else []
    ends += [later["finished"]] if later else []
    # To the second, as the forms of the times differ behind it.
    return any(end[:19] > failed["failed"][:19] for end in ends)
