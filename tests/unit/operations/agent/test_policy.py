"""The policy file: what it says, and how its mistakes are told."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from almanac.core.errors import AgentError
from operations.agent.actions import ACTIONS
from operations.agent.causes import CAUSES
from operations.agent.policy import read_policy

ROOT = Path(__file__).resolve().parents[4]
LEAST = "use_cases: {demo: {}}\ncauses: {store: [seed_history]}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


def test_the_example_is_read_and_knows_every_cause() -> None:
    policy = read_policy(ROOT / "examples" / "agent-policy.yaml")
    assert set(policy.causes) == set(CAUSES)
    assert {name for names in policy.causes.values() for name in names} == set(ACTIONS)
    settings = policy.use_cases["air_quality"]
    assert settings.file is not None
    assert (ROOT / settings.file).is_file()


def test_a_risky_action_is_risky_whatever_the_policy_says(tmp_path: Path) -> None:
    policy = read_policy(write(tmp_path, LEAST))
    assert {name for name in ACTIONS if policy.risk(name) == "risky"} == {
        "retrain",
        "rollback",
        "change_thresholds",
        "disable_feature",
    }
    stricter = read_policy(write(tmp_path, f"{LEAST}actions: {{clear_caches: {{risk: risky, per_day: 1}}}}\n"))
    assert stricter.risk("clear_caches") == "risky"
    assert (stricter.per_day("clear_caches"), stricter.per_day("reload_model")) == (1, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1", "line 1: is not YAML"),
        ("- 1", "must be a mapping with the fields name, use_cases, causes, actions"),
        ("causes: {}", "use_cases: is missing; it is required"),
        (f"{LEAST}colour: red", "colour: unknown field; known: actions, approval_hours, causes"),
        ("use_cases: {demo: {}}\ncauses: {stor: [seed_history]}", "causes.stor: there is no cause 'stor'; known are"),
        (f"{LEAST}causes: {{}}", "line 3: key 'causes' is given twice"),
        (f"{LEAST}verify_seconds: .inf", "verify_seconds: input should be a finite number"),
        (f"{LEAST}name: 2026-13-45", "policy.yaml, line 3: is not YAML"),
        ("use_cases: {demo: {server: 'http://u:secret@h'}}\ncauses: {}", "use_cases.demo.server: input should be a"),
        ("use_cases: {demo: {}}\ncauses: {store: [seed]}", "causes.store.0: there is no action 'seed'; known are"),
        (f"{LEAST}actions: {{rollback: {{risk: safe}}}}", "actions.rollback.risk: safe; it is risky"),
        (f"{LEAST}actions: {{rollback: {{per_day: -1}}}}", "actions.rollback.per_day: input should be greater"),
        (
            f"{LEAST}quiet_hours: {{begin: 22:00, end: '6:00'}}",
            "quiet_hours.begin: expected hours and minutes in quotes",
        ),
        (
            f"{LEAST}quiet_hours: {{begin: '22:00', end: '6:00', zone: Mars}}",
            "quiet_hours.zone: expected the name of a",
        ),
        (
            "use_cases: {demo: {server: {url: 'http://u:secret@h'}}}\ncauses: {}",
            "use_cases.demo.server.url: holds a user, a password",
        ),
        (
            "use_cases: {demo: {server: {url: h, key: secret}}}\ncauses: {}",
            "use_cases.demo.server.key: unknown field; known:",
        ),
        (
            "use_cases: {demo: {service: {namespace: a, name: b, lowest: 3, highest: 2}}}\ncauses: {}",
            "use_cases.demo.service: highest: 2 is below lowest, 3",
        ),
    ],
)
def test_a_mistake_is_told_with_its_field_and_without_its_value(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AgentError) as caught:
        read_policy(write(tmp_path, text))
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_quiet_hours_go_over_midnight_in_their_zone(tmp_path: Path) -> None:
    hours = "quiet_hours: {begin: '22:00', end: '06:00', zone: Asia/Shanghai, allowed: [end_canary]}\n"
    policy = read_policy(write(tmp_path, LEAST + hours))
    night, day = datetime(2026, 1, 1, 15, tzinfo=UTC), datetime(2026, 1, 1, 23, tzinfo=UTC)
    assert policy.quiet("clear_caches", night)
    assert not policy.quiet("clear_caches", day)
    assert not policy.quiet("end_canary", night)
