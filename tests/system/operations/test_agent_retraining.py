"""The agent really trains again once its plan is approved, and the version goes to production and is served."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from almanac.core.files import read_json
from almanac.usecase import dump
from almanac.usecase.override import load_with
from governance.registry import Registry
from operations.agent import approvals
from operations.agent.alarms import Alarm
from operations.agent.followed import FollowedJournal
from operations.agent.ledger import Step
from operations.agent.policy import Policy
from operations.agent.site import Site
from operations.agent.work import Work
from orchestration.retraining import policy as retraining
from pipelines import training_pipeline
from tests.support.agent_at_work import alarm, write_breach
from tests.support.kubeflow_api import TOKEN, KubeflowApi
from tests.support.production import QUICK, ROOT, Production
from tests.support.server import ServerProcess, Start, wait_for
from tests.support.training_world import SMALL


@dataclass
class Trainable:
    """An agent that can train a use case with a version in production.

    Attributes:
        work: its work.
        registry: the model registry.
        runs: directory of run directories.
    """

    work: Work
    registry: Registry
    runs: Path

    @property
    def step(self) -> Step:
        """The newest action."""
        return list(self.work.ledger().steps.values())[-1]

    def production(self) -> int:
        """Return the version in production."""
        current = self.registry.current(self.work.site.use_case)
        assert current is not None
        return current.number

    def approve_plan(self) -> Step:
        """Approve the plan of the newest action, and let the agent carry it out."""
        retraining.approve(self.work.site.plans(), self.step.parameters["plan"], who="bob", why="the sensor is stuck")
        self.work.advance()
        assert self.step.state == "verified", [entry.why for entry in self.work.journal.entries()]
        assert self.step.result["result"] == "promoted"
        return self.step


def trainable(production: Production, folder: Path, causes: dict[str, list[str]], **settings: Any) -> Trainable:
    """Return an agent over a copy of the registry, whose newest monitoring has a breach."""
    name, registry = production.case.name, str(folder / "registry")
    shutil.copytree(production.registry, registry)
    path = folder / f"{name}.yaml"
    path.write_text(dump(load_with(ROOT / "usecases" / f"{name}.yaml", [*QUICK, *SMALL])))
    write_breach(folder / "runs", name, "iws is stuck")
    policy = Policy.model_validate({"use_cases": {name: {"file": str(path), **settings}}, "causes": causes})
    site = Site(name, policy, policy.use_cases[name], registry, folder / "runs", training_pipeline)
    return Trainable(Work(site, FollowedJournal(registry, name), act=True), Registry(registry), folder / "runs")


@pytest.mark.slow
def test_an_approved_retraining_trains_and_promotes(production: Production, tmp_path: Path, beijing_csv: Path) -> None:
    agent = trainable(production, tmp_path, {"bad_release": ["retrain"]})
    agent.work.note(alarm(production.case.name))
    agent.work.advance()
    step = agent.approve_plan()
    assert (agent.production(), step.result["production"]) == (step.result["version"], 1)
    run = agent.runs / production.case.name / step.result["run"]
    # The plan's window is that of the use case's policy, and ends with the newest data.
    assert read_json(run / "model" / "manifest.json")["split"]["train_from"].startswith("2010-12")
    service = yaml.safe_load((run / "inferenceservice.yaml").read_text().split("---")[1])
    assert service["metadata"]["annotations"]["almanac.io/version"] == str(agent.production())


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeflowApi]:
    monkeypatch.setenv("KFP_TOKEN", TOKEN)
    with KubeflowApi() as api:
        api.recurring["0-job"] = {"recurring_run_id": "0-job", "display_name": "nightly", "status": "ENABLED"}
        yield api


def note_stuck_sensor(agent: Trainable, table: pl.DataFrame) -> None:
    """Let the newest table have a sensor that is stuck, and Alertmanager send its alarm."""
    name, newest = agent.work.site.use_case, pl.col("timestamp") >= datetime(2014, 12, 22)
    stuck = table.with_columns(iws=pl.when(newest).then(4.02).otherwise("iws"))
    stuck.write_parquet(agent.runs / name / "monitoring" / "latest" / "data.parquet")
    words = ("AlmanacDriftWindow", name, "firing", "ticket", "2015-01-01T00:00:00Z", "iws has drifted")
    agent.work.note(Alarm("alertmanager", *words, {"area": "drift"}))
    agent.work.advance()


def served(server: ServerProcess) -> tuple[list[str], bool]:
    """Return the versions that a server has, and whether it takes features of the wind's speed."""
    document = server.get("/v2/models/pm25_6h").json
    return document["versions"], any("iws" in tensor["name"] for tensor in document["inputs"])


@pytest.mark.slow
def test_a_stuck_sensor_is_left_out_until_a_rollback(
    production: Production, start: Start, beijing: pl.DataFrame, tmp_path: Path, kubeflow: KubeflowApi
) -> None:
    name = production.case.name
    causes = {"sensor_stuck": ["pause_schedule", "disable_feature"], "bad_release": ["rollback"]}
    agent = trainable(production, tmp_path, causes, schedules={"host": kubeflow.host, "names": ["nightly"]})
    environment = {"ALMANAC_REGISTRY": str(tmp_path / "registry"), "ALMANAC_CACHE": str(tmp_path / "cache")}
    server = start("--poll-seconds", "0.2", model=f"registry:{name}/production", environment=environment)
    assert served(server) == (["1"], True)
    note_stuck_sensor(agent, beijing)
    # The schedule is paused at once, which mends nothing; what does is asked for.
    assert kubeflow.recurring["0-job"]["status"] == "DISABLED"
    assert (agent.step.action, agent.step.state) == ("disable_feature", "proposed")
    assert (agent.step.parameters["column"], agent.production()) == ("iws", 1)
    agent.approve_plan()
    wait_for(lambda: served(server) == (["2"], False))
    row = {tensor["name"]: 5.0 for tensor in server.get("/v2/models/pm25_6h").json["inputs"]}
    assert server.post("/v1/models/pm25_6h:predict", {"instances": [row]}).status == 200
    agent.work.note(alarm(name))
    agent.work.advance()
    assert (agent.step.action, agent.step.parameters) == ("rollback", {"from": 2, "to": 1})
    approvals.approve(agent.work.journal, agent.step.key, who="bob", why="the sensor is mended")
    agent.work.advance()
    wait_for(lambda: served(server) == (["1"], True))


def test_the_next_retraining_has_the_features_again(production: Production, tmp_path: Path) -> None:
    site = trainable(production, tmp_path, {}).work.site
    usecase, monitored = site.usecase(), site.monitored()
    assert usecase is not None
    assert monitored is not None
    assert any("iws" in change for change in site.make_plan(usecase, monitored.document, "iws").difference)
    assert not any("iws" in change for change in site.make_plan(usecase, monitored.document, "").difference)
