"""The history on PostgreSQL: the same rows, by digest, as on SQLite."""

from pathlib import Path

from operations.history import digest, open_history, rebuild
from tests.support.operations_world import write_world
from tests.support.postgres import needs_postgres


@needs_postgres
def test_both_databases_hold_the_same(tmp_path: Path, postgresql: int) -> None:
    world = write_world(tmp_path, trainings=20, monitorings=30)
    engines = [
        open_history(f"sqlite:///{tmp_path}/history.db"),
        open_history(f"postgresql://meter:opensesame@127.0.0.1:{postgresql}/postgres"),
    ]
    counts = [rebuild(engine, world.origins) for engine in engines]
    assert counts[0] == counts[1]
    assert counts[0]["windows"] == 90
    assert digest(engines[0]) == digest(engines[1])
    rebuild(engines[1], world.origins)
    assert digest(engines[0]) == digest(engines[1])
    for engine in engines:
        engine.dispose()
