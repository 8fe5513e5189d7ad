"""Runs that a cluster has published in a registry, beside the directories of this machine."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from almanac.core.errors import AgentError, HistoryError
from governance.registry.local_store import LocalStore
from governance.registry.stores import open_store
from operations.agent.ledger import Episode, Ledger
from operations.agent.monitored import newest_monitoring
from operations.agent.policy import Policy
from operations.agent.site import Site
from operations.agent.watch import found
from operations.commands.options import opened
from operations.history import open_history, rebuild, update
from orchestration.published_runs import PublishedRuns
from orchestration.rundir import point_latest
from tests.support.operations_world import START, World, publish_monitoring, write_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world whose runs are all a cluster's."""
    return replace(write_world(tmp_path, trainings=0, monitorings=0), runs=tmp_path / "nowhere")


def newest(world: World) -> str | None:
    monitored = newest_monitoring(world.runs, world.registry, "demo")
    return monitored.run if monitored else None


def site_of(world: World) -> Site:
    policy = Policy.model_validate({"use_cases": {"demo": {}}, "causes": {}})
    return Site("demo", policy, policy.use_cases["demo"], world.registry, world.runs)


def test_a_run_without_its_record_is_not_there(world: World) -> None:
    runs, key = PublishedRuns(open_store(world.registry)), publish_monitoring(world.registry, 1)
    assert runs.listed() == {key: ["monitoring.json", "run.json"]}
    (Path(world.registry) / "runs" / key / "run.json").unlink()
    assert runs.listed() == {}


def test_the_newest_monitoring_is_that_of_either_place(world: World, tmp_path: Path) -> None:
    assert newest(world) is None
    published = publish_monitoring(world.registry, 1)
    assert newest(world) == published.rpartition("/")[2]
    for at, expected in ((1, published.rpartition("/")[2]), (3, None)):
        # Its runs are of days 0 to `at`.
        local = write_world(tmp_path / str(at), monitorings=at + 1)
        directory = max((local.runs / "demo" / "monitoring").iterdir())
        point_latest(directory)
        assert newest(replace(world, runs=local.runs)) == (expected or directory.name)


def test_an_alarm_begins_and_ends_with_the_windows_of_a_cluster(world: World) -> None:
    site = site_of(world)
    assert list(found(site, Ledger(), START)) == []
    key = publish_monitoring(world.registry, 2)
    (alarm,) = found(site, Ledger(), START)
    assert (alarm.name, alarm.state, alarm.summary) == ("MonitoringBreach", "firing", "wind has drifted")
    assert alarm.path == f"{world.registry}/runs/{key}/monitoring.json"
    ledger = Ledger({alarm.digest: Episode(alarm, START)})
    publish_monitoring(world.registry, 3)
    assert [each.state for each in found(site, ledger, START)] == ["resolved"]


def test_a_result_that_cannot_be_read_is_named(world: World) -> None:
    path = Path(world.registry) / "runs" / publish_monitoring(world.registry, 1) / "monitoring.json"
    path.chmod(0o644)
    path.write_text("[]")
    with pytest.raises(AgentError, match=r"monitoring\.json: cannot be read \(not a JSON object\)"):
        newest(world)
    path.unlink()
    with pytest.raises(AgentError, match=rf"runs/demo/monitoring/{path.parent.name}: has not all of its files"):
        newest(world)
    said: list[str] = []
    (Path(world.registry) / "runs" / "demo" / "monitoring" / "head.json").write_text("{")
    assert list(found(site_of(world), Ledger(), START, said.append)) == []
    assert [line.partition(": cannot be read")[0] for line in said] == [
        f"demo: {world.registry}/runs/demo/monitoring/head.json"
    ]


def test_many_runs_are_fetched_together_and_known_ones_not_at_all(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def read_ahead(store: LocalStore, keys: Sequence[str]) -> Mapping[str, bytes]:
        asked.append([key for key in keys if key.startswith("runs/")])
        return {}

    monkeypatch.setattr(LocalStore, "read_ahead", read_ahead)
    days = {"demo": range(25), "other": range(100, 125)}
    first = [publish_monitoring(world.registry, at, name) for name, span in days.items() for at in span]
    engine = open_history(f"sqlite:///{tmp_path}/history.db")
    assert rebuild(engine, world.origins)["runs"] == 50
    assert [len(keys) for keys in asked if keys] == [40, 10, 40, 10]
    assert {key.rpartition("/")[0] for keys in asked for key in keys} == {f"runs/{key}" for key in first}
    asked.clear()
    new = publish_monitoring(world.registry, 25)
    update(engine, world.origins)
    assert [keys for keys in asked if keys] == [[f"runs/{new}/monitoring.json", f"runs/{new}/run.json"]]
    engine.dispose()


def test_a_history_of_a_clusters_runs_needs_no_directory(world: World, tmp_path: Path) -> None:
    publish_monitoring(world.registry, 1)
    url = f"sqlite:///{tmp_path}/history.db"
    engine, origins = opened(url, world.registry, world.runs, "", kept=False)
    assert rebuild(engine, origins)["runs"] == 1
    opened(url, world.registry, world.runs, "", kept=False)
    local = write_world(tmp_path / "local")
    rebuild(engine, local.origins)
    with pytest.raises(HistoryError, match="has 5 runs"):
        opened(url, world.registry, world.runs, "", kept=False)
