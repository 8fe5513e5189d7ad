"""The history follows its origins: after each change it holds what a rebuild makes, and only the change was read."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from almanac.core.errors import HistoryError
from almanac.core.files import write_json
from governance.registry import Registry
from operations.console.memory import Memory
from operations.history import digest, open_history, rebuild, update
from operations.journal import Journal
from orchestration.retraining import policy
from orchestration.retraining.audit_log import AuditLog, Draft
from tests.support.operations_world import World, metrics, publish_monitoring, write_world

LINE = {"timestamp": "2026-01-01T05:30:00", "target": "load_1h", "prediction": 1.0, "version": 1}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return write_world(tmp_path / "world")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_history(f"sqlite:///{tmp_path}/history.db")
    yield engine
    engine.dispose()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[[World], str]]:
    """Returns the digest of a history that is made anew."""
    other = open_history(f"sqlite:///{tmp_path}/fresh.db")

    def made(world: World) -> str:
        rebuild(other, world.origins)
        return digest(other)

    yield made
    other.dispose()


def trainings(world: World) -> list[Path]:
    return sorted(path.parent for path in world.runs.glob("demo/*/metrics.json"))


def served(world: World) -> Path:
    return next(Path(world.log).glob("demo/*.jsonl"))


def another_run(world: World) -> None:
    shutil.copytree(trainings(world)[0], other := trainings(world)[0].with_name("20270101-000000-000000-abcdef01"))
    write_json(other / "run.json", json.loads((other / "run.json").read_text()) | {"run_id": other.name})


def a_run_moves(world: World) -> None:
    # The same run below another name: the rows of the old directory go first.
    path = trainings(world)[1]
    path.rename(path.with_name(f"{path.name}-kept"))


def an_alarm(world: World) -> None:
    alarm = {"name": "AlmanacDrift", "state": "resolved", "severity": "ticket"}
    Journal(world.registry, "demo").append(lambda _: Draft("alarm", "d" * 64, "alertmanager", "it is over", alarm))


def an_approved_plan(world: World) -> None:
    log = AuditLog(world.registry, "demo")
    policy.approve(log, log.entries()[0].plan, who="bob", why="wind is broken")


CHANGES: dict[str, Callable[[World], object]] = {
    "an approval": lambda world: Registry(world.registry).approve("demo", 2, who="bob", why="read the cards"),
    "an alarm": an_alarm,
    "an approved plan": an_approved_plan,
    "another run": another_run,
    "other figures": lambda world: write_json(trainings(world)[0] / "metrics.json", metrics(17.25)),
    "a gate that is gone": lambda world: (trainings(world)[0] / "gate.json").unlink(),
    "a run that moves": a_run_moves,
    "a run that is gone": lambda world: shutil.rmtree(next(world.runs.glob("demo/monitoring/*"))),
    "a run of a cluster": lambda world: publish_monitoring(world.registry, 5),
    "predictions": lambda world: served(world).write_text(served(world).read_text() + json.dumps(LINE) + "\n"),
    "another file of predictions": lambda world: shutil.copy(served(world), served(world).with_name("served-2.jsonl")),
    "a run of a cluster that is gone": lambda world: shutil.rmtree(next(Path(world.registry).glob("runs/demo/*/2*"))),
    "predictions that are gone": lambda world: served(world).unlink(),
}


def test_each_change_leaves_what_a_rebuild_makes(world: World, engine: Engine, fresh: Callable[[World], str]) -> None:
    seen = {update(engine, world.origins): "the beginning"}
    assert digest(engine) == fresh(world)
    for name, change in CHANGES.items():
        before = digest(engine)
        change(world)
        state = update(engine, world.origins)
        assert state not in seen, (name, seen)
        seen[state] = name
        assert digest(engine) == fresh(world) != before, name
        assert update(engine, world.origins) == state


def test_only_what_has_changed_is_read(world: World, engine: Engine) -> None:
    update(engine, world.origins)
    before = digest(engine)
    path = trainings(world)[0] / "run.json"
    times = path.stat()
    path.write_text("{" * times.st_size)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    an_alarm(world)
    update(engine, world.origins)
    assert digest(engine) != before
    with pytest.raises(HistoryError, match=path.parent.name):
        rebuild(engine, world.origins)


def test_rows_that_other_code_has_made_are_made_again(world: World, engine: Engine) -> None:
    state = update(engine, world.origins, log=False)
    before = digest(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE parts SET state = 'another release' WHERE kind = 'program'"))
        connection.execute(text("UPDATE runs SET runner = 'unknown'"))
    assert update(engine, world.origins, log=False) == state
    assert digest(engine) == before


def test_a_change_that_cannot_be_read_changes_nothing(world: World, engine: Engine) -> None:
    update(engine, world.origins)
    before = digest(engine)
    an_alarm(world)
    first, second = trainings(world)
    (first / "run.json").write_text((second / "run.json").read_text())
    with pytest.raises(HistoryError, match="the same thing twice"):
        update(engine, world.origins)
    assert digest(engine) == before


def test_the_prediction_log_is_left_where_it_is_not_asked_for(world: World, engine: Engine) -> None:
    state = update(engine, world.origins)
    before = digest(engine)
    served(world).unlink()
    assert update(engine, world.origins, log=False) == state
    assert digest(engine) == before
    update(engine, world.origins)
    assert digest(engine) != before


def test_pages_see_what_another_program_has_made(world: World, engine: Engine) -> None:
    memory = Memory(engine, world.origins)
    memory.refresh()
    asked: list[int] = []
    for _ in range(2):
        memory.answer(("question",), lambda: asked.append(1))
    assert len(asked) == 1
    an_alarm(world)
    update(engine, world.origins)
    memory.refresh()
    memory.answer(("question",), lambda: asked.append(1))
    assert len(asked) == 2
