"""Questions that the pages ask the history; each returns plain rows."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Engine, Select, Table, and_, func, or_, select

from operations.history.tables import (
    ACTIONS,
    ALARMS,
    APPROVALS,
    EVENTS,
    FAILURES,
    METRICS,
    NOTIFICATIONS,
    PLANS,
    REQUESTS,
    RUNS,
    VERSIONS,
    WINDOW_COLUMNS,
    WINDOW_TARGETS,
    WINDOWS,
)

Row = dict[str, Any]
#: Rows that a page shows at most; older ones are in the export.
MOST = 400


def _rows(engine: Engine, query: Select[Any]) -> list[Row]:
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]


def _newest(engine: Engine, use_case: str, time: Column[Any], *where: ColumnElement[bool]) -> list[Row]:
    """Return the newest rows of a table, of all use cases where none is named."""
    table = time.table
    # By the key as well, without which rows of one time change places from page to page.
    query = select(table).where(*where).order_by(time.desc(), *table.primary_key).limit(MOST)
    return _rows(engine, query.where(table.c.use_case == use_case) if use_case else query)


def versions(engine: Engine, use_case: str) -> list[Row]:
    """Return the versions of a use case, newest first."""
    return _newest(engine, use_case, VERSIONS.c.number)


def waiting_versions(engine: Engine) -> list[Row]:
    """Return the versions that await an approval."""
    return _rows(engine, select(VERSIONS).where(VERSIONS.c.status == "awaits approval"))


def open_plans(engine: Engine, now: str) -> list[Row]:
    """Return the plans of retrainings that wait for an approval or an execution, as of a time in ISO 8601."""
    return _rows(engine, select(PLANS).where(PLANS.c.status.in_(("open", "approved")), PLANS.c.expires > now))


def plans(engine: Engine, use_case: str) -> list[Row]:
    """Return the plans of a use case, newest first."""
    return _newest(engine, use_case, PLANS.c.created)


def newest_run(engine: Engine, use_case: str, kind: str) -> Row | None:
    """Return the newest run of a kind."""
    where = and_(RUNS.c.use_case == use_case, RUNS.c.kind == kind)
    found = _rows(engine, select(RUNS).where(where).order_by(RUNS.c.started.desc()).limit(1))
    return found[0] if found else None


def runs(engine: Engine, use_case: str = "") -> list[Row]:
    """Return runs, newest first."""
    return _newest(engine, use_case, RUNS.c.started)


def failures(engine: Engine, use_case: str = "") -> list[Row]:
    """Return failed runs, newest first; a run whose gate closed is none."""
    return _newest(engine, use_case, FAILURES.c.failed, FAILURES.c.gate_passed.is_(None))


def run(engine: Engine, run_id: str) -> Row | None:
    """Return a run by its id."""
    found = _rows(engine, select(RUNS).where(RUNS.c.id == run_id))
    return found[0] if found else None


def metrics(engine: Engine, use_case: str, kind: str, subjects: Sequence[str]) -> list[Row]:
    """Return the figures of runs or versions, at the top level of metrics.json."""
    where = [METRICS.c.use_case == use_case, METRICS.c.kind == kind, METRICS.c.subject.in_(subjects)]
    names = METRICS.c.name.in_(("rmse", "mae", "r2", "bias", "coverage.overall", "log_loss", "brier", "auc", "smape"))
    return _rows(engine, select(METRICS).where(*where, names))


def windows(engine: Engine, use_case: str) -> list[Row]:
    """Return the newest judgement of each of the last windows, oldest first."""
    newest = (
        select(WINDOWS.c.start, WINDOWS.c.stop, func.max(WINDOWS.c.run).label("run"))
        .where(WINDOWS.c.use_case == use_case)
        .group_by(WINDOWS.c.stop, WINDOWS.c.start)
        .order_by(WINDOWS.c.stop.desc())
        .limit(MOST)
        .subquery()
    )
    joined = WINDOWS.join(newest, and_(WINDOWS.c.run == newest.c.run, WINDOWS.c.start == newest.c.start))
    query = select(WINDOWS).select_from(joined).where(WINDOWS.c.use_case == use_case).order_by(WINDOWS.c.stop)
    return _rows(engine, query)


def window_targets(engine: Engine, windows: Sequence[Row]) -> list[Row]:
    """Return the figures of the targets in windows."""
    return _parts(engine, WINDOW_TARGETS, windows)


def window_columns(engine: Engine, windows: Sequence[Row]) -> list[Row]:
    """Return the drift of the columns in windows."""
    return _parts(engine, WINDOW_COLUMNS, windows)


def _parts(engine: Engine, table: Table, windows: Sequence[Row]) -> list[Row]:
    starts: dict[str, list[str]] = {}
    for window in windows:
        starts.setdefault(window["run"], []).append(window["start"])
    # By the key: a run judges many windows of which a newer one has judged most again.
    ours = [and_(table.c.run == name, table.c.start.in_(found)) for name, found in starts.items()]
    return _rows(engine, select(table).where(or_(*ours))) if ours else []


def events(engine: Engine, use_case: str) -> list[Row]:
    """Return the registry's events of a use case, newest first."""
    return _newest(engine, use_case, EVENTS.c.number)


def approvals(engine: Engine, use_case: str) -> list[Row]:
    """Return people's decisions on a use case, newest first."""
    return _newest(engine, use_case, APPROVALS.c.when)


def alarms(engine: Engine, use_case: str = "") -> list[Row]:
    """Return alarms, newest first."""
    return _newest(engine, use_case, ALARMS.c.when)


def actions(engine: Engine, use_case: str) -> list[Row]:
    """Return the diagnoses and actions for a use case, newest first."""
    return _newest(engine, use_case, ACTIONS.c.number)


def notifications(engine: Engine, use_case: str = "") -> list[Row]:
    """Return the last entry about each message, newest first."""
    query = select(NOTIFICATIONS).order_by(NOTIFICATIONS.c.when.desc(), NOTIFICATIONS.c.number.desc()).limit(MOST)
    found = _rows(engine, query.where(NOTIFICATIONS.c.use_case == use_case) if use_case else query)
    # A message has an entry before it leaves and one for its outcome.
    return list({row["subject"]: row for row in reversed(found)}.values())[::-1]


def requests(engine: Engine, use_case: str) -> list[Row]:
    """Return the predictions logged in each hour, oldest first."""
    query = select(REQUESTS.c.hour, func.sum(REQUESTS.c.count).label("count")).where(REQUESTS.c.use_case == use_case)
    found = _rows(engine, query.group_by(REQUESTS.c.hour).order_by(REQUESTS.c.hour.desc()).limit(MOST))
    return found[::-1]
