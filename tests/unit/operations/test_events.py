"""Events that people wait for: found once in the history, with a link to the console and a command that exists."""

import json
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert
from typer.main import get_command

from almanac.core.files import canonical_json, read_json, sha256_file, write_json
from almanac.usecase import UseCase, dump, load
from governance.registry import Registry, collect
from operations.history import open_history, rebuild
from operations.history.tables import ACTIONS, RUNS
from operations.notifications.events import EVENTS
from operations.notifications.message import Message
from operations.notifications.scene import Scene
from operations.notifications.settings import Grace
from operations.notifications.watch import news
from operations.subject import Subject, find_subject
from orchestration.commands.app import app
from orchestration.retraining import policy
from orchestration.retraining.audit_log import AuditLog
from tests.support.bundles import document_files, version_files
from tests.support.operations_world import World, publish_failure, write_world

ROOT = Path(__file__).parents[3]
CONSOLE = "https://console.example.org"
#: A moment after the world's last run, on 3 January.
NOW = datetime(2026, 1, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def usecase() -> UseCase:
    return load(ROOT / "usecases" / "air_quality.yaml")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("events"))


@pytest.fixture
def world(written: World, tmp_path: Path) -> World:
    shutil.copytree(written.registry, tmp_path / "registry")
    return replace(written, registry=str(tmp_path / "registry"))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_history(f"sqlite:///{tmp_path}/history.db")
    yield engine
    engine.dispose()


def scene(engine: Engine, world: World, **changes: Any) -> Scene:
    rebuild(engine, world.origins)
    values: dict[str, Any] = {
        "engine": engine,
        "subject": Subject("demo", None, "usecases/demo.yaml"),
        "registry": "",
        "now": NOW,
    }
    values |= {"runs": world.runs, "console": CONSOLE, "since": "2025-12-27T00:00:00", "grace": Grace()}
    return Scene(**values | changes)


def of(kind: str, found: Scene) -> list[Message]:
    return list(EVENTS[kind](found))


def test_a_closed_gate(engine: Engine, world: World) -> None:
    (run,) = (path.parent for path in world.runs.rglob("gate.json") if not read_json(path)["passed"])
    rules = [{"message": "rmse 23.1 above 21.0", "passed": False}, {"message": "fine", "passed": True}]
    write_json(run / "gate.json", {"passed": False, "rules": rules})
    (message,) = of("gate_closed", scene(engine, world))
    assert message.identity == run.name
    assert message.lines[1:] == ("rmse 23.1 above 21.0",)
    assert message.link == f"{CONSOLE}/runs/{run.name}"
    assert message.command == f"almanac open {run.name} --out {world.runs}"


def test_a_failed_run_is_told_and_one_whose_gate_closed_is_a_closed_gate(engine: Engine, world: World) -> None:
    failed = publish_failure(world.registry, "monitoring")
    closed = publish_failure(world.registry, "training", gate_passed=False)
    found = scene(engine, world)
    (message,) = of("run_failed", found)
    assert (message.identity, message.title) == (failed, "A monitoring failed in the step validation")
    assert message.lines[1:] == ("no column load", "nor wind")
    assert closed in {message.identity for message in of("gate_closed", found)}


def test_a_version_and_a_plan_wait_until_somebody_decides(engine: Engine, world: World) -> None:
    now = datetime.now(UTC)
    found = of("approval_asked", scene(engine, world, registry="s3://models", now=now))
    assert [message.title for message in found] == [
        "Version 2 waits for an approval",
        "A plan of a retraining waits for an approval",
    ]
    version, plan = found
    assert version.link == f"{CONSOLE}/versions/demo/2"
    assert version.command == 'almanac registry approve demo/2 --registry s3://models --why "..."'
    digest = AuditLog(world.registry, "demo").entries()[0].plan
    assert plan.link == f"{CONSOLE}/agent?use_case=demo#plan-{digest[:12]}"
    assert plan.command == f'almanac plans approve demo {digest} --registry s3://models --why "..."'
    assert "wind has drifted" in " ".join(plan.lines)
    Registry(world.registry).approve("demo", 2, who="bob", why="read the cards")
    policy.reject(AuditLog(world.registry, "demo"), digest, who="bob", why="a holiday")
    assert of("approval_asked", scene(engine, world, now=now)) == []


def test_an_expired_plan_waits_for_nobody(engine: Engine, world: World) -> None:
    found = of("approval_asked", scene(engine, world, now=datetime.now(UTC) + timedelta(days=400)))
    assert [message.facts.get("version") for message in found] == [2]


def test_promotions_and_rollbacks(engine: Engine, world: World) -> None:
    registry = Registry(world.registry)
    registry.approve("demo", 2, who="bob", why="read the cards")
    registry.promote("demo", 2, "staging", who="bob", why="a look")
    registry.promote("demo", 2, who="bob", why="better")
    registry.rollback("demo", who="cleo", why="worse after all")
    found = scene(engine, world)
    assert [(message.title, message.facts["who"]) for message in of("promoted", found)] == [
        ("Version 1 is in production", "ann"),
        ("Version 2 is in staging", "bob"),
        ("Version 2 is in production", "bob"),
    ]
    (back,) = of("rolled_back", found)
    assert back.title == "Production went back to version 1"
    assert "worse after all" in back.lines[0]


def act(engine: Engine, *entries: tuple[str, str, str, dict[str, Any]]) -> None:
    rows = [
        {"use_case": "demo", "number": 10 + at, "subject": subject, "kind": kind, "who": "agent", "why": why}
        | {"when": f"2026-01-03T00:0{at}:00.000+00:00", "detail": json.dumps(detail)}
        for at, (subject, kind, why, detail) in enumerate(entries)
    ]
    with engine.begin() as connection:
        connection.execute(insert(ACTIONS), rows)


def test_the_agent_acts_asks_and_gives_up(engine: Engine, world: World) -> None:
    found = scene(engine, world)
    risky = {"risk": "risky", "action": "rollback", "expires": "2026-01-04T00:00:00+00:00", "parameters": {"from": 2}}
    planned = risky | {"action": "retrain", "parameters": {"plan": "0" * 64}}
    act(
        engine,
        ("a" * 64, "proposed", "clear the caches", {"risk": "safe", "action": "clear_caches"}),
        ("a" * 64, "finished", "clear the caches", {}),
        ("b" * 64, "proposed", "roll back", risky),
        ("c" * 64, "proposed", "roll back earlier", risky),
        ("c" * 64, "rejected", "nobody approved it in time", {}),
        ("9" * 64, "proposed", "train again", planned),
        ("d" * 64, "gave_up", "no cause is likely enough", {}),
        ("e" * 64, "undone", "it did not help", {}),
        ("f" * 64, "failed", "the server is away", {}),
    )
    (asked,) = (message for message in of("approval_asked", found) if "action" in message.title)
    assert asked.title == "The agent's action rollback waits for an approval"
    assert asked.command == f'almanac agent approve demo {"b" * 64} --why "..."'
    assert [message.facts["state"] for message in of("agent_acted", found)] == ["finished", "undone"]
    assert [message.facts["state"] for message in of("agent_gave_up", found)] == ["gave_up", "failed"]
    later = replace(found, now=NOW + timedelta(days=2))
    assert not [message for message in of("approval_asked", later) if "action" in message.title]


def test_a_missed_schedule_is_told_once_for_a_gap(engine: Engine, world: World, usecase: UseCase) -> None:
    # Monitored every hour at 15 past, retrained on the first of a month at 3; last runs at 00:01 and at 00:00.
    found = scene(engine, world, subject=Subject("demo", usecase, "usecases/demo.yaml"))
    assert (usecase.schedule.monitor, usecase.schedule.retrain) == ("0 15 * * * *", "0 0 3 1 * *")

    def missed(now: str) -> list[str]:
        at = datetime.fromisoformat(f"{now}+00:00")
        return [message.identity for message in of("schedule_missed", replace(found, now=at))]

    assert missed("2026-01-03T01:14:59") == []
    first = missed("2026-01-03T01:15:01")
    assert first == ["monitoring 2026-01-03T00:15:00+00:00"]
    assert missed("2026-01-09T12:00:00") == first
    with engine.begin() as connection:
        row = connection.execute(RUNS.select().where(RUNS.c.kind == "monitoring")).mappings().first()
        assert row is not None
        late = {**row, "id": "late", "started": "2026-01-09T12:15:02+00:00"}
        connection.execute(insert(RUNS), [late])
    assert missed("2026-01-09T13:00:00") == []
    assert missed("2026-01-09T14:20:00") == ["monitoring 2026-01-09T13:15:00+00:00"]
    # The world registers its versions today, which is a training of somewhere.
    month = (datetime.now(UTC).replace(day=1) + timedelta(days=32)).replace(day=1)
    assert f"training {month:%Y-%m}-01T03:00:00+00:00" in missed(f"{month:%Y-%m}-01T10:00:00")


def test_a_run_that_begins_a_little_early_is_not_missed(engine: Engine, world: World, usecase: UseCase) -> None:
    found = scene(engine, world, subject=Subject("demo", usecase, "usecases/demo.yaml"))
    with engine.begin() as connection:
        connection.execute(RUNS.update().where(RUNS.c.kind == "monitoring").values(started="2026-01-03T00:14:58+00:00"))
    assert of("schedule_missed", replace(found, now=datetime(2026, 1, 3, 2, 10, tzinfo=UTC))) == []


def test_what_is_old_is_no_news(engine: Engine, world: World) -> None:
    assert news(scene(engine, world, since="2999-01-01T00:00:00")) == []
    found = news(scene(engine, world))
    assert {message.kind for message in found} == {"gate_closed", "approval_asked", "promoted"}
    assert [message.when for message in found] == sorted(message.when for message in found)


def test_every_command_exists_and_every_link_is_a_page(engine: Engine, world: World, usecase: UseCase) -> None:
    publish_failure(world.registry, "training")
    found = scene(engine, world, subject=Subject("demo", usecase, "usecases/demo.yaml"), now=datetime.now(UTC))
    act(engine, ("a" * 64, "finished", "x", {}), ("d" * 64, "gave_up", "x", {}))
    messages = news(replace(found, since="2026-01-01T00:00:00", now=datetime.now(UTC) + timedelta(hours=1)))
    assert len({message.kind for message in messages}) == len(EVENTS) - 1
    root: Any = get_command(app)
    for message in messages:
        assert message.link.startswith(f"{CONSOLE}/")
        words = shlex.split(message.command)
        if message.kind == "run_failed":
            # That of another program, which tests/system/operations/test_failed_runs.py asks.
            assert words[0] == "kfp"
            continue
        assert words.pop(0) == "almanac"
        command = root.get_command(None, words.pop(0))
        assert command is not None, message.command
        if hasattr(command, "commands") and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        options = {name for each in command.params for name in each.opts}
        assert {word for word in words if word.startswith("--")} <= options, message.command


def test_a_registry_with_a_secret_is_left_out_of_commands(engine: Engine, world: World) -> None:
    found = scene(engine, world, registry="s3://key:opensesame@models", now=datetime.now(UTC))
    assert all("opensesame" not in message.command for message in news(found))


def test_a_registered_version_states_the_use_case_of_a_name(tmp_path: Path, usecase: UseCase) -> None:
    registry, files = Registry(str(tmp_path / "registry")), version_files(tmp_path, "first")
    number = registry.register("demo", files, who="ann", why="first", approval="none")
    document_files(tmp_path, files)
    folder = tmp_path / "governance"
    stated = json.loads(dump(usecase)) | {"title": "As registered", "schedule": {"retrain": "0 0 4 * * *"}}
    write_json(folder / "usecase.json", stated)
    manifest = read_json(folder / "manifest.json")
    manifest["files"]["usecase.json"] = {"sha256": sha256_file(folder / "usecase.json")}
    (folder / "manifest.json").write_bytes(canonical_json(manifest))
    registry.attach_documents("demo", number, collect(folder, "governance"), who="ann", why="documented")
    subject = find_subject("demo", str(tmp_path / "registry"))
    assert subject.usecase is not None
    assert (subject.title, subject.usecase.schedule.retrain) == ("As registered", "0 0 4 * * *")


def test_a_use_case_is_found_by_its_file_or_its_name(world: World) -> None:
    path = str(ROOT / "usecases" / "air_quality.yaml")
    subject = find_subject(path, world.registry)
    assert (subject.name, subject.zone, subject.file) == ("air_quality", "UTC", path)
    # Its documents state no use case file.
    assert find_subject("demo", world.registry).title == "demo"
    assert find_subject("nobody", world.registry).usecase is None
