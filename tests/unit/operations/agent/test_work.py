"""The work on one use case: alarms, diagnoses and what a dry run leaves alone."""

from pathlib import Path

import pytest

from operations.agent.alarms import Alarm
from operations.agent.policy import Policy
from operations.agent.site import Site
from operations.agent.work import Work
from operations.journal import Journal

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
