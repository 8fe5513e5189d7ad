"""The work on one use case: alarms, diagnoses and what a dry run leaves alone."""

import threading
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import polars as pl
import pytest

from almanac.core.errors import RemediationError
from almanac.core.files import write_json
from operations.agent import agent as module
from operations.agent import approvals
from operations.agent.agent import Agent
from operations.agent.alarms import Alarm
from operations.agent.evidence.gather import gather
from operations.agent.policy import Policy
from operations.agent.site import Site
from operations.agent.work import Work
from operations.journal import Journal
from orchestration.retraining.audit_log import Draft
from tests.support.server import wait_for

ROOT = Path(__file__).resolve().parents[4]
POLICY = {"use_cases": {"demo": {}}, "causes": {"store": ["raise_log_level"], "source_stale": ["pause_schedule"]}}
ALARM = Alarm("alertmanager", "AlmanacRedisAway", "demo", "firing", "page", "2026-01-01", "away", {"area": "serving"})


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(str(tmp_path / "registry"), "demo")


def work(journal: Journal, folder: Path, act: bool, lines: list[str]) -> Work:
    policy = Policy.model_validate(POLICY)
    site = Site("demo", policy, policy.use_cases["demo"], str(folder / "registry"), folder / "runs")
    return Work(site, journal, act, lines.append)


def test_a_dry_run_diagnoses_and_changes_nothing(journal: Journal, tmp_path: Path) -> None:
    lines: list[str] = []
    one = work(journal, tmp_path, False, lines)
    one.note(ALARM)
    one.note(ALARM)
    one.advance()
    assert [entry.kind for entry in journal.entries()] == ["alarm", "diagnosed"]
    diagnosed = journal.entries()[1]
    assert diagnosed.plan == ALARM.digest
    assert diagnosed.detail["causes"][0]["cause"] == "store"
    assert diagnosed.detail["causes"][0]["for"][0]["text"] == "the alarm is AlmanacRedisAway"
    assert lines[-1] == "demo: AlmanacRedisAway: would take the action raise_log_level, which is safe"


def test_an_agent_that_can_do_nothing_gives_up_once(journal: Journal, tmp_path: Path) -> None:
    lines: list[str] = []
    one = work(journal, tmp_path, True, lines)
    one.note(ALARM)
    one.advance()
    one.advance()
    assert [entry.kind for entry in journal.entries()] == ["alarm", "diagnosed", "gave_up"]
    assert journal.entries()[2].why == "the policy has nothing more to do for store"


def test_an_alarm_that_ends_is_noted_once_and_one_that_nobody_saw_begin_is_not(
    journal: Journal, tmp_path: Path
) -> None:
    one = work(journal, tmp_path, False, [])
    ended = Alarm(**{**vars(ALARM), "state": "resolved"})
    one.note(ended)
    assert journal.entries() == []
    one.note(ALARM)
    one.note(ended)
    one.note(ended)
    assert [entry.detail["state"] for entry in journal.entries()] == ["firing", "resolved"]
    one.advance()
    assert [entry.kind for entry in journal.entries()] == ["alarm", "alarm"]


BREACH = Alarm("monitoring", "MonitoringBreach", "demo", "firing", "ticket", "2026-01-01", "breach")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A use case with its file, and without a run."""
    settings = {"file": str(ROOT / "usecases" / "air_quality.yaml")}
    policy = Policy.model_validate({"use_cases": {"demo": settings}, "causes": {}})
    return Site("demo", policy, policy.use_cases["demo"], str(tmp_path / "registry"), tmp_path / "runs")


def test_a_table_that_cannot_be_read_is_a_note_of_the_evidence(site: Site) -> None:
    table = site.runs / "demo" / "latest" / "data.parquet"
    table.parent.mkdir(parents=True)
    table.write_bytes(b"PAR1 of a run that is being written")
    assert [note.partition(" (")[0] for note in gather(site, BREACH).notes] == [f"{table}: not a Parquet table"]
    pl.DataFrame({"timestamp": ["yesterday"]}).write_parquet(table)
    assert gather(site, BREACH).notes == (f"{table}: the column timestamp is of type String; expected times",)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"breached": True, "windows": [{}]}, "(KeyError: 'targets')"),
        ({"breached": True, "windows": 5}, "(TypeError: "),
        ({"breached": True, "windows": [{"targets": []}]}, "(AttributeError: "),
        ({"breached": True, "windows": [{"targets": {}}], "data_present": "today"}, "(ValueError: "),
        ({"windows": []}, "(KeyError: 'breached')"),
        ({"breached": False, "windows": [], "staleness": "old"}, "(AttributeError: "),
    ],
)
def test_a_result_of_another_shape_is_named_and_holds_nothing_up(
    site: Site, journal: Journal, document: dict[str, Any], reason: str
) -> None:
    latest, lines = site.runs / "demo" / "monitoring" / "latest", list[str]()
    write_json(latest / "monitoring.json", document)
    write_json(latest / "run.json", {"run_id": "20260101-000000-000000-abcdef01"})
    pl.DataFrame({"timestamp": [datetime(2014, 1, 1)], "pm25": [1.0]}).write_parquet(latest / "data.parquet")
    one = Work(site, journal, False, lines.append)
    one.note(BREACH)
    Agent(site.policy, {"demo": one}, lines.append).look("demo")
    diagnosed = [entry for entry in journal.entries() if entry.kind == "diagnosed"]
    assert {entry.plan for entry in diagnosed} >= {BREACH.digest}
    said = [*lines, *(note for entry in diagnosed for note in entry.detail["evidence"]["notes"])]
    error = f"{latest / 'monitoring.json'}: not the result of a monitoring {reason}"
    assert any(error in line for line in said), said


def test_an_action_that_a_plan_carries_out_is_approved_by_the_plan(journal: Journal) -> None:
    detail = {"action": "retrain", "parameters": {"plan": "0" * 64}, "risk": "risky", "alarm": ALARM.digest}
    detail |= {"cause": "concept_drift", "expires": "2999-01-01T00:00:00+00:00"}
    journal.append(lambda _: Draft("proposed", "a" * 64, "almanac-agent", "Train again", detail))
    with pytest.raises(RemediationError, match=f"`almanac plans approve demo {'0' * 64}`"):
        approvals.approve(journal, "a" * 64, who="bob", why="looked at it")
    approvals.reject(journal, "a" * 64, who="bob", why="a holiday")


def test_health_is_that_of_every_use_case_and_an_action_may_take_its_time(journal: Journal, tmp_path: Path) -> None:
    clock = SimpleNamespace(monotonic=lambda: 0.0)
    with mock.patch.object(module, "time", clock):
        works = {name: work(journal, tmp_path, True, []) for name in ("demo", "other")}
        agent = Agent(works["demo"].site.policy, works, lambda line: None)
        assert agent.healthy
        clock.monotonic = lambda: 1000.0
        agent._looked["demo"] = 1000.0
        assert not agent.healthy
        works["other"].executing = True
        assert agent.healthy


def test_an_alarm_that_comes_during_a_look_does_not_wait_for_the_next_round(journal: Journal, tmp_path: Path) -> None:
    one = work(journal, tmp_path, False, [])
    later = Alarm(**{**vars(ALARM), "started": "2026-01-02"})
    advance = one.advance

    def advance_as_it_comes() -> None:
        advance()
        one.note(later)

    with mock.patch.object(one, "advance", advance_as_it_comes):
        policy = one.site.policy.model_copy(update={"watch_seconds": 1e6})
        agent = Agent(policy, {"demo": one}, lambda line: None)
        one.note(ALARM)
        running = threading.Thread(target=agent.run)
        running.start()
        try:
            wait_for(lambda: [entry.kind for entry in journal.entries()].count("diagnosed") == 2)
        finally:
            agent.stop()
            running.join()
