"""Reports: their period, the figures that they quote, their bytes, and templates of a team."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from almanac.core.errors import ReportError
from almanac.core.files import read_json, write_json
from almanac.reports import Table, Times
from operations.history import open_history, rebuild
from operations.reports import last_period, make_report, period_named
from operations.reports.facts import production_at
from operations.reports.sections import SECTIONS
from tests.support.operations_world import publish_failure, write_world

CPU_SECONDS = 7_200.0


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("reports")
    world = write_world(folder, trainings=4, monitorings=6)
    records = sorted((world.runs / "demo").glob("2026*/run.json"))
    for at, record in enumerate(records[:2]):
        write_json(record.parent / "governance" / "registration.json", {"compute": {"cpu_seconds": CPU_SECONDS}})
        step = {"name": "training", "seconds": 40.0, "cached": at == 1, "rows": 720, "figure": None}
        write_json(record, {**read_json(record), "steps": [step]})
    publish_failure(world.registry, "monitoring")
    publish_failure(world.registry, "training", gate_passed=False)
    engine = open_history(f"sqlite:///{folder}/history.db")
    rebuild(engine, world.origins)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("kind", "name", "zone", "start", "stop"),
    [
        ("monthly", "2026-10", "UTC", "2026-10-01T00:00:00", "2026-11-01T00:00:00"),
        # The clocks go back in that month, and it is an hour longer.
        ("monthly", "2026-10", "Europe/Berlin", "2026-09-30T22:00:00", "2026-10-31T23:00:00"),
        ("monthly", "2026-12", "Asia/Shanghai", "2026-11-30T16:00:00", "2026-12-31T16:00:00"),
        ("weekly", "2026-W01", "UTC", "2025-12-29T00:00:00", "2026-01-05T00:00:00"),
        ("weekly", "2026-W53", "UTC", "2026-12-28T00:00:00", "2027-01-04T00:00:00"),
    ],
)
def test_a_period_begins_and_ends_at_midnights_of_its_zone(
    kind: object, name: str, zone: str, start: str, stop: str
) -> None:
    period = period_named(kind, name, zone)  # type: ignore[arg-type]
    assert period.span == (start, stop)
    assert period.name == name
    assert zone in period.stated


@pytest.mark.parametrize(
    ("kind", "now", "zone", "name"),
    [
        ("monthly", "2026-11-01T00:30:00+00:00", "UTC", "2026-10"),
        # Still October in New York, and in Shanghai November since eight hours.
        ("monthly", "2026-11-01T00:30:00+00:00", "America/New_York", "2026-09"),
        ("monthly", "2026-10-31T16:30:00+00:00", "Asia/Shanghai", "2026-10"),
        ("weekly", "2027-01-04T00:00:00+00:00", "UTC", "2026-W53"),
        ("weekly", "2027-01-03T23:59:59+00:00", "UTC", "2026-W52"),
    ],
)
def test_the_last_period_is_the_one_that_is_over(kind: object, now: str, zone: str, name: str) -> None:
    assert last_period(kind, datetime.fromisoformat(now), zone).name == name  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "name"),
    [("monthly", "2026-13"), ("monthly", "2026-W10"), ("monthly", "9999-12"), ("weekly", "2025-W53"), ("weekly", "x")],
)
def test_a_period_that_does_not_exist_is_refused(kind: object, name: str) -> None:
    with pytest.raises(ReportError, match=rf"--period {name}: not a (month|week); write one such as 2026-"):
        period_named(kind, name, "UTC")  # type: ignore[arg-type]


def test_it_quotes_the_figures_of_the_history(engine: Engine) -> None:
    report = make_report(engine, "demo", period_named("monthly", "2026-01", "UTC"), title="Demo")
    assert report.title == "Demo: January 2026"
    # Newest window of each of six monitorings, and two more of the last one; every third monitoring drifts.
    assert report.verdict == "2 of 8 windows breached, the last one because wind has drifted."
    # A gate closed here, and one on a cluster, where a monitoring failed as well.
    expected = {"windows": 8, "windows_breached": 2, "trainings": 4, "gates_closed": 2, "runs_failed": 1}
    assert (expected | {"predictions_logged": 3}).items() <= report.figures.items()
    text = re.sub(r"<[^>]+>", " ", report.html())
    assert re.search(r"Failed runs.*monitoring\s+validation\s+no column load", text, re.DOTALL)
    # Errors of the windows are 12, 12, 12, 13, 14, 15, 16, 12; see `monitoring` of the world.
    assert re.search(r"load_1h\s+8\s+12\.000\s+12\.000\s+16\.000\s+12\.000\s+12\.500\s+14\.000\s+0\.890", text)
    assert re.search(r"wind\s+2\s+8\s+2\.00\s+2\.00\s+0\.00\s+ks", text)


def test_windows_of_times_without_a_calendar_are_counted_in_days(engine: Engine) -> None:
    period = period_named("monthly", "2026-01", "UTC")
    dated, counted = (
        make_report(engine, "demo", period, times=Times(origin=origin)).html() for origin in (None, date(2025, 12, 1))
    )
    assert "predictions are of the data's clock, in UTC." in dated.replace("&#39;", "'")
    assert "in days since the start of its count." in counted
    # Two plots of each of two targets, and one of the columns.
    assert (dated.count("days since the start<"), counted.count("days since the start<")) == (0, 5)


def test_costs_count_what_a_run_computed_itself(engine: Engine) -> None:
    report = make_report(engine, "demo", period_named("monthly", "2026-01", "UTC"))
    text = re.sub(r"<[^>]+>", " ", report.html())
    # Four trainings of 75 s; one trained for 40 s, one took its training from the cache, two took 1.5 s for their step.
    assert re.search(r"training\s+4\s+0\.083\s+0\.012\s+2\.000\s+1 of 4\s+20\.000", text)


def test_what_happened_before_or_after_is_left_out(engine: Engine) -> None:
    week = make_report(engine, "demo", period_named("weekly", "2026-W01", "UTC"))
    # From 29 December to 4 January: the runs of 1 to 4 January.
    assert week.figures["trainings"] == 4
    assert week.figures["windows"] == 6
    later = make_report(engine, "demo", period_named("monthly", "2026-02", "UTC"))
    assert later.figures["windows"] == 0
    assert later.verdict == "Nothing was monitored in this period."
    # The world's registry is of today.
    now = datetime.now(UTC)
    today = make_report(engine, "demo", period_named("monthly", f"{now:%Y-%m}", "UTC"))
    assert (today.figures["version_in_production"], today.figures["waiting_for_a_decision"]) == (1, 1)
    assert "AlmanacDrift" in today.html()


def test_it_is_made_again_to_the_same_bytes(engine: Engine) -> None:
    first, second = (
        make_report(engine, "demo", period_named("monthly", "2026-01", "Europe/Berlin")).html() for _ in range(2)
    )
    assert first == second
    assert "Europe/Berlin" in first
    assert "2026-01-01 01:00" in first


def test_a_use_case_that_nobody_knows_is_named(engine: Engine) -> None:
    with pytest.raises(ReportError, match="dmo: not in the history; it has demo"):
        make_report(engine, "dmo", period_named("monthly", "2026-01", "UTC"))


def test_a_version_leaves_production_by_a_demotion() -> None:
    def event(when: str, kind: str, version: int, stage: str = "production") -> dict[str, object]:
        return {"when": when, "kind": kind, "version": version, "detail": json.dumps({"stage": stage})}

    events = [
        event("2026-01-01", "promoted", 1),
        event("2026-01-02", "promoted", 2, "staging"),
        event("2026-01-03", "promoted", 2),
        event("2026-01-04", "rolled_back", 1),
        event("2026-01-05", "demoted", 1),
    ]
    days = [f"2026-01-{day:02d}T12" for day in range(0, 6)]
    assert [production_at(events, day) for day in days] == [None, 1, 1, 2, 1, None]


def test_a_team_changes_the_templates(engine: Engine, tmp_path: Path) -> None:
    report = make_report(engine, "demo", period_named("monthly", "2026-01", "UTC"))
    (tmp_path / "monthly.html.j2").write_text(
        '{% extends "page.html.j2" %}{% block content %}{% set block = sections["drift"] %}{% set level = 2 %}'
        '{% include block.template %}<p>{{ figures["windows"] }} windows, by the load team</p>{% endblock %}'
    )
    (tmp_path / "note.html.j2").write_text("<small>{{ block.text }}</small>")
    text = report.html(tmp_path)
    assert "8 windows, by the load team" in text
    assert "<small>A score" in text
    assert "Performance" not in text
    assert "by the load team" not in report.html()


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a\n{{ figures.nothing }}", r"monthly\.html\.j2, line 2: .*nothing"),
        ("a\n\n{% if %}", r"monthly\.html\.j2, line 3: "),
        ("{{ period.__class__.__mro__ }}", "unsafe"),
        ("{{ 1 / 0 }}", r"monthly\.html\.j2, line 1: division by zero"),
        ('{% include "nothing.j2" %}', r"monthly\.html\.j2, line 1: nothing\.j2"),
    ],
)
def test_a_template_with_an_error_is_named(engine: Engine, tmp_path: Path, template: str, message: str) -> None:
    report = make_report(engine, "demo", period_named("monthly", "2026-01", "UTC"))
    (tmp_path / "monthly.html.j2").write_text(template)
    with pytest.raises(ReportError, match=message):
        report.html(tmp_path)


def test_a_directory_of_templates_that_is_missing_is_named(engine: Engine, tmp_path: Path) -> None:
    report = make_report(engine, "demo", period_named("monthly", "2026-01", "UTC"))
    with pytest.raises(ReportError, match=r"templates .*nowhere: no such directory"):
        report.html(tmp_path / "nowhere")


def test_targets_are_sorted_by_their_horizons(engine: Engine) -> None:
    report = make_report(engine, "demo", period_named("monthly", "2026-01", "UTC"))
    facts = replace(
        report.facts,
        targets={
            key: dict.fromkeys(("load_24h", "load_6h", "load_1h"), found["load_1h"])
            for key, found in report.facts.targets.items()
        },
    )
    (table, *_) = SECTIONS["performance"](facts).blocks
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["load_1h", "load_6h", "load_24h"]


def test_every_section_is_shown() -> None:
    text = (Path(__file__).parents[3] / "operations/reports/templates/report.html.j2").read_text()
    assert re.findall(r'"(\w+)"', text.partition("for name in")[2].partition("]")[0]) == list(SECTIONS)
