"""A monitoring on a cluster leaves its run in the registry's bucket, where agent and console find it."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from kfp import dsl

from almanac.usecase import dump
from components.monitoring.component import monitoring
from components.prediction.task import predict
from operations.agent.agent import Agent
from operations.agent.evidence.gather import gather
from operations.agent.followed import FollowedJournal
from operations.agent.policy import Policy
from operations.agent.site import Site
from operations.agent.work import Work
from operations.console.app import build
from operations.console.keys import add_key
from operations.console.settings import ConsoleSettings
from operations.history import Origins
from tests.support.console import serving
from tests.support.object_store import serving_s3, upload, use_endpoint
from tests.support.production import Production
from tests.support.use_case_artifact import use_case_artifact

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
REGISTRY = "s3://models/registry"


@pytest.fixture
def bucket(production: Production, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bucket with the registry whose version is in production."""
    with serving_s3() as address:
        use_endpoint(monkeypatch, address)
        upload(Path(production.registry), REGISTRY)
        yield


def monitored(production: Production, folder: Path) -> None:
    """Monitor a table whose temperatures have risen for two months, as a task on a cluster does."""
    late = pl.col("timestamp") >= datetime(2014, 11, 2)
    table, predictions = folder / "broken.parquet", folder / "predictions.parquet"
    warmer = pl.when(late).then(pl.col("temp") + 20).otherwise(pl.col("temp")).alias("temp")
    pl.read_parquet(production.table).with_columns(warmer).write_parquet(table)
    predict(production.case, table, production.registry, "windows:3").table.write_parquet(predictions)
    breached = monitoring.python_func(
        use_case_artifact(production.case, folder),
        dsl.Dataset(uri=str(table)),
        dsl.Dataset(uri=str(predictions)),
        REGISTRY,
        "cluster",
        "",
        "",
        "",
        dsl.Artifact(uri=str(folder / "m.json")),
        dsl.HTML(uri=str(folder / "m.html")),
    )
    assert breached is True


def test_the_room_sees_what_a_cluster_has_monitored(production: Production, tmp_path: Path, bucket: None) -> None:
    monitored(production, tmp_path)
    name, runs = production.case.name, tmp_path / "runs"
    _agent_takes_the_alarm(production, tmp_path, runs)
    keys = tmp_path / "keys.json"
    given = {"viewer": add_key(keys, "vera", "viewer")}
    history = f"sqlite:///{tmp_path}/history.db"
    origins = Origins(REGISTRY, runs)
    settings = ConsoleSettings(history, origins, keys, None, None, False, tmp_path / "audit.jsonl")
    with serving(build(settings), given) as client:
        client.post("/login", data={"key": given["viewer"]})
        (run,) = set(re.findall(r"/runs/([0-9a-f-]+)", client.get("/history").text))
        assert f"/runs/{run}/report.html" in client.get(f"/runs/{run}").text
        assert "<svg" in client.get(f"/runs/{run}/report.html").text
        assert client.get(f"/runs/{run}/gate.json").status_code == 404
        assert "MonitoringBreach" in client.get("/agent").text
        assert "temp" in client.get(f"/drift?use_case={name}").text
        assert name in client.get("/data").text
    assert not runs.exists()


def _agent_takes_the_alarm(production: Production, folder: Path, runs: Path) -> None:
    name, file = production.case.name, folder / "case.yaml"
    file.write_text(dump(production.case))
    policy = Policy.model_validate({"use_cases": {name: {"file": str(file)}}, "causes": {}})
    site = Site(name, policy, policy.use_cases[name], REGISTRY, runs)
    work = Work(site, FollowedJournal(REGISTRY, name), False)
    agent = Agent(policy, {name: work}, print)
    agent.look(name)
    agent.look(name)
    alarm, diagnosed = work.journal.entries()[:2]
    assert (alarm.kind, alarm.detail["name"], diagnosed.kind) == ("alarm", "MonitoringBreach", "diagnosed")
    assert re.fullmatch(rf"{REGISTRY}/runs/{name}/monitoring/[0-9a-f-]+/monitoring\.json", alarm.detail["path"])
    (episode,) = work.ledger().episodes.values()
    evidence = gather(site, episode.alarm)
    assert evidence.notes == ()
    assert evidence.columns["temp"], "the table came with the run"
