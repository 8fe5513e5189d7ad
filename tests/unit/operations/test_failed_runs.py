"""Failed runs of this machine and of a cluster, as agent and history read them."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from almanac.core.errors import HistoryError
from almanac.core.files import write_json
from operations.agent.failed import failed_run, failed_runs
from operations.history import open_history, rebuild, update
from operations.history.tables import FAILURES
from orchestration.published_runs import PublishedRuns
from orchestration.tasks import error_of
from tests.support.operations_world import START, World, publish_failure, write_world

RUN = "20260102-000000-000000-abcdef01"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return write_world(tmp_path, trainings=0, monitorings=0)


def write_local(world: World, **fields: object) -> Path:
    """Write the record of a failed run of this machine, as an earlier release did."""
    path = world.runs / "demo" / "failed" / f"{RUN}.json"
    own = {"run_id": RUN, "use_case": "demo", "kind": "training", "step": "gate", "error": "x", "table": None}
    write_json(path, {**own, "failed_at": (START + timedelta(days=1)).isoformat(), **fields})
    return path


def test_records_of_both_places_are_read_from_their_time_on(world: World) -> None:
    path, published = write_local(world), publish_failure(world.registry, "monitoring")

    def found(since: datetime) -> list[str]:
        return [each.run for each in failed_runs(world.runs, world.registry, "demo", since)]

    assert found(START) == [RUN, published]
    assert found(START + timedelta(days=2)) == []
    path.write_text("{")
    assert found(START) == [published]
    assert failed_run(world.registry, str(path)) is None
    assert failed_run(world.registry, f"{world.registry}/failed/demo/nothing.json") is None


def test_a_record_whose_store_is_away_is_not_taken_for_a_missing_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"{world.registry}/failed/demo/{publish_failure(world.registry, 'monitoring')}.json"
    with monkeypatch.context() as away:
        away.setattr(PublishedRuns, "read_failure", _refuse)
        with pytest.raises(OSError, match="the store is away"):
            failed_run(world.registry, place)
    assert failed_run(world.registry, place) is not None


def _refuse(*_: object) -> bytes:
    raise OSError("the store is away")


def test_the_history_has_failed_runs_and_forgets_those_whose_record_is_gone(world: World, tmp_path: Path) -> None:
    path, published = write_local(world, error="password=opensesame"), publish_failure(world.registry, "monitoring")
    engine = open_history(f"sqlite:///{tmp_path}/history.db")

    def rows() -> list[tuple[str, str, str]]:
        update(engine, world.origins)
        with engine.connect() as connection:
            columns = (FAILURES.c.id, FAILURES.c.runner, FAILURES.c.error)
            return [tuple(row) for row in connection.execute(select(*columns).order_by(FAILURES.c.id))]

    other = (published, "kubeflow", "no column load\nnor wind")
    assert sorted(rows()) == sorted([(RUN, "subprocess", "password=***"), other])
    path.unlink()
    assert rows() == [other]
    path.write_text("[]")
    with pytest.raises(HistoryError, match=rf"{RUN}.json: not the record of a failed run"):
        rebuild(engine, replace(world.origins, registry=""))
    engine.dispose()


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (["almanac.core.errors.TableError: 2 rules:", "  a", "", "  b", "Error: exit status 1"], "2 rules:\na\nb"),
        (["ValueError: at first", "KeyError: 'pm'"], "unexpected KeyError: 'pm'"),
        (["E1127 05:55:40.697246      15 launcher_v2.go:449] failed: exit status 1", "[body] fitting"], None),
    ],
)
def test_the_error_of_a_log_is_that_of_its_task(lines: list[str], error: str | None) -> None:
    assert error_of("\n".join(lines)) == error
