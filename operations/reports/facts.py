"""The history's rows that a report is about."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Table, select
from sqlalchemy.sql import ColumnElement

from almanac.reports import Times
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
from operations.reports.period import Period

Row = dict[str, Any]
#: Columns of times that rows are told in the order of.
_TIMES = ("when", "started", "failed", "created", "stop", "hour")
#: Ids in one question; databases bound the number of parameters.
_AT_ONCE = 500


@dataclass(frozen=True)
class Facts:
    """Rows of one use case; those of logs and runs are of the period, oldest first.

    Attributes:
        use_case: its name.
        period: the period.
        times: how the times of the data are written.
        versions: all versions.
        events: the registry's events.
        alarms: alarms, from the first one on, since one may fire over the begin of a period.
        plans: plans of retrainings that were proposed.
        actions: entries of the journal about diagnoses and actions.
        approvals: people's decisions.
        notifications: messages that were sent or not.
        runs: runs that started.
        failures: runs that failed, and trainings on a cluster whose gate closed.
        compute: run -> name -> what its training took.
        windows: of each monitoring its newest window and of the last one all, each judged last by that run.
        targets: (run, start) -> target -> figures of a window.
        columns: (run, start) -> drift of a window's columns and outputs.
        requests: predictions logged by hour of the data's clock.
    """

    use_case: str
    period: Period
    times: Times
    versions: list[Row]
    events: list[Row]
    alarms: list[Row]
    plans: list[Row]
    actions: list[Row]
    approvals: list[Row]
    notifications: list[Row]
    runs: list[Row]
    failures: list[Row]
    compute: dict[str, dict[str, float]]
    windows: list[Row]
    targets: dict[tuple[str, str], dict[str, Row]]
    columns: dict[tuple[str, str], list[Row]]
    requests: list[Row]

    @property
    def version(self) -> int | None:
        """The version in production at the end of the period, None for none."""
        return production_at(self.events, self.period.span[1])


def read_facts(engine: Engine, use_case: str, period: Period, times: Times) -> Facts:
    """Return the facts of a use case in a period; `times` is how the times of its data are written."""
    start, stop = period.span
    with engine.connect() as connection:

        def within(table: Table, column: str, begin: str = start) -> list[Row]:
            time = table.c[column]
            return _rows(connection, table, table.c.use_case == use_case, time >= begin, time < stop)

        runs = within(RUNS, "started")
        monitorings = [row["id"] for row in runs if row["kind"] == "monitoring"]
        windows = _shown(_parts(connection, WINDOWS, "run", monitorings))
        keys = {(row["run"], row["start"]) for row in windows}
        names = sorted({run for run, _ in keys})
        targets: dict[tuple[str, str], dict[str, Row]] = {key: {} for key in keys}
        for row in _parts(connection, WINDOW_TARGETS, "run", names):
            if (key := (row["run"], row["start"])) in keys:
                targets[key][row["target"]] = row
        columns: dict[tuple[str, str], list[Row]] = {key: [] for key in keys}
        for row in _parts(connection, WINDOW_COLUMNS, "run", names):
            if (key := (row["run"], row["start"])) in keys:
                columns[key].append(row)
        return Facts(
            use_case=use_case,
            period=period,
            times=times,
            versions=_rows(connection, VERSIONS, VERSIONS.c.use_case == use_case),
            # From the first one on: which version was in production follows from all of them.
            events=within(EVENTS, "when", ""),
            alarms=within(ALARMS, "when", ""),
            plans=within(PLANS, "created"),
            actions=within(ACTIONS, "when"),
            approvals=within(APPROVALS, "when"),
            notifications=within(NOTIFICATIONS, "when"),
            runs=runs,
            failures=within(FAILURES, "failed"),
            compute=_compute(connection, use_case, [row["id"] for row in runs]),
            windows=windows,
            targets=targets,
            columns=columns,
            requests=within(REQUESTS, "hour"),
        )


def production_at(events: Sequence[Row], time: str) -> int | None:
    """Return the version that was in production at a time in UTC, None for none."""
    current: int | None = None
    for event in events:
        if event["when"] >= time:
            break
        to_production = event["kind"] == "promoted" and json.loads(event["detail"])["stage"] == "production"
        if to_production or event["kind"] == "rolled_back":
            current = event["version"]
        elif event["kind"] == "demoted" and event["version"] == current:
            current = None
    return current


def _rows(connection: Connection, table: Table, *where: ColumnElement[bool]) -> list[Row]:
    found = [dict(row._mapping) for row in connection.execute(select(table).where(*where))]
    # By all that they hold: databases sort texts by rules of their own, and an order by time alone leaves ties.
    time = next((name for name in _TIMES if name in table.c), "number")
    return sorted(found, key=lambda row: (row.get(time, ""), *(row[each.name] for each in table.primary_key)))


def _parts(connection: Connection, table: Table, column: str, names: Sequence[str]) -> list[Row]:
    """Return the rows of many runs."""
    found = []
    for at in range(0, len(names), _AT_ONCE):
        found += _rows(connection, table, table.c[column].in_(names[at : at + _AT_ONCE]))
    return found


def _shown(windows: list[Row]) -> list[Row]:
    """Return the newest window of each monitoring and all of the last one, each span once, in the order of time."""
    newest: dict[str, Row] = {}
    for row in windows:
        if row["run"] not in newest or row["stop"] > newest[row["run"]]["stop"]:
            newest[row["run"]] = row
    last = max(newest, default="")
    spans: dict[tuple[str, str], Row] = {}
    # Ids of runs begin with their time, so that the newest judgement of a span is the last.
    for row in sorted((*newest.values(), *(row for row in windows if row["run"] == last)), key=lambda row: row["run"]):
        spans[row["stop"], row["start"]] = row
    return [spans[key] for key in sorted(spans)]


def _compute(connection: Connection, use_case: str, runs: Sequence[str]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    wanted = set(runs)
    query = select(METRICS).where(
        METRICS.c.use_case == use_case, METRICS.c.kind == "run", METRICS.c.name.like("compute.%")
    )
    for row in connection.execute(query):
        if row.subject in wanted:
            found.setdefault(row.subject, {})[row.name.removeprefix("compute.")] = row.value
    return found
