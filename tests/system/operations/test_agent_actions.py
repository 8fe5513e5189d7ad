"""Actions of the agent on what they change: a server with a canary and a store, schedules, the log of plans."""

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from almanac.core.errors import AgentError
from almanac.core.files import read_json, write_json
from operations.agent.actions import ACTIONS
from operations.agent.evidence import Evidence
from operations.agent.site import Site
from orchestration.retraining import policy as retraining
from tests.support.agent_at_work import KEY, breached_site, site_of
from tests.support.kubeflow_api import TOKEN, KubeflowApi
from tests.support.server import ServerProcess, Start, wait_for, write_model

CANARY = "/v2/repository/models/air/canary"


@pytest.fixture(scope="module")
def new_model(tmp_path_factory: pytest.TempPathFactory, beijing: pl.DataFrame) -> Path:
    return write_model(tmp_path_factory.mktemp("new") / "model", beijing, trees=30)


def feedback(server: ServerProcess, worse: float) -> None:
    """Observe errors of both versions, of which the new one's are so much larger."""
    draw, names = np.random.default_rng(4), server.get("/v2/models/pm25_1h").json["versions"]
    rows = [
        {
            "prediction": 50.0,
            "actual": 50.0 + float(draw.exponential(2.0)) * (worse if version == names[1] else 1.0),
            "model_version": version,
            "target": target,
        }
        for _ in range(600)
        for target in ("pm25_1h", "pm25_6h")
        for version in names
    ]
    assert server.post("/v1/models/air:feedback", {"feedback": rows}).status == 200


def test_a_canary_beyond_its_bound_is_ended_and_one_within_is_left(
    start: Start, new_model: Path, tmp_path: Path
) -> None:
    action, server = ACTIONS["end_canary"], start("--canary", f"{new_model}=50")
    site = site_of(tmp_path, server={"url": server.url})
    assert action.plan(site, "bad_release") is None
    feedback(server, 2.0)
    wait_for(lambda: server.get(CANARY).json["state"] == "failed")
    parameters = action.plan(site, "bad_release")
    assert parameters is not None
    before = action.observe(site, parameters)
    assert (parameters["percent"], before) == (0, {"state": "failed"})
    assert not action.done(site, parameters, before, KEY)
    result = action.do(site, parameters, before, KEY)
    assert action.done(site, parameters, before, KEY)
    assert action.helped(site, result)
    assert server.get("/v2/models/air").json["versions"] == [result["running_version"]]
    # The server had ended it by itself, so that there is nothing to restore.
    action.undo(site, parameters, before, KEY)
    assert server.get(CANARY).json["state"] == "ended"


def test_the_store_is_filled_from_the_newest_rows(start: Start, beijing: pl.DataFrame, tmp_path: Path) -> None:
    action, server = ACTIONS["seed_history"], start("--feature-store", f"sqlite:///{tmp_path}/s.db")
    path = tmp_path / "table.parquet"
    beijing.tail(5_000).sample(fraction=1.0, shuffle=True, seed=1).write_parquet(path)
    site = site_of(tmp_path, server={"url": server.url}, history=str(path))
    newest = beijing["timestamp"].dt.to_string("%Y-%m-%dT%H:%M:%S").max()
    body = {"instances": [{"entity": "default", "time": newest}]}
    assert server.post("/v1/models/pm25_1h:predict", body).status != 200
    parameters = action.plan(site, "store")
    assert parameters == {"times": 4_000}
    before = action.observe(site, parameters)
    assert action.do(site, parameters, before, KEY) == {"kept": 4_000}
    # Repeated, as after a kill, it changes nothing.
    action.do(site, parameters, before, KEY)
    assert server.post("/v1/models/pm25_1h:predict", body).status == 200
    assert action.observe(site, parameters)["newest"] > before["newest"]


def test_the_newest_rows_are_those_of_every_entity(tmp_path: Path) -> None:
    from operations.agent.actions.seed_history import _newest_rows

    times = pl.datetime_range(datetime(2026, 1, 1), datetime(2026, 1, 2), "1h", eager=True)
    parts = [pl.DataFrame({"time": times, "place": [name] * len(times)}) for name in ("north", "south")]
    pl.concat(parts).write_parquet(tmp_path / "table.parquet")
    found = _newest_rows(site_of(tmp_path, history=str(tmp_path / "table.parquet")), 3)
    assert found["place"].to_list() == ["north", "south"] * 3
    assert found["time"].unique().sort().to_list() == times.tail(3).to_list()


@pytest.fixture
def planned(tmp_path: Path) -> Site:
    return breached_site(tmp_path)


def test_a_retraining_without_a_column_waits_for_the_approval_of_its_plan(planned: Site) -> None:
    action = ACTIONS["disable_feature"]
    assert action.plan(planned, "sensor_stuck") is None
    planned.evidence = Evidence(columns={"pm25": {"run": 90.0}, "iws": {"run": 2.0}})
    # The target's own column cannot be left out.
    assert action.plan(planned, "sensor_stuck") is None
    planned.evidence = Evidence(columns={"pm25": {"run": 1.0}, "iws": {"run": 20.0}})
    assert action.plan(planned, "concept_drift") is None
    parameters = action.plan(planned, "sensor_stuck")
    assert parameters is not None
    assert parameters["column"] == "iws"
    usecase, log = planned.usecase(), planned.plans()
    assert usecase is not None
    plan = retraining.find(log.entries(), parameters["plan"])
    assert plan.action.kind == "retrain_without"
    kept = [column for item in plan.action.apply(usecase).features.items for column in getattr(item, "columns", ())]
    assert "iws" not in kept
    assert action.approved(planned, parameters) is False
    retraining.approve(log, plan.digest, who="bob", why="the sensor is stuck")
    assert action.approved(planned, parameters) is True
    assert not action.done(planned, parameters, {}, KEY)
    retraining.reject(log, plan.digest, who="eve", why="it is mended")
    assert action.approved(planned, parameters) is False


def test_a_retraining_names_the_result_that_it_cannot_be_planned_for(planned: Site) -> None:
    path = planned.runs / planned.use_case / "monitoring" / "latest" / "monitoring.json"
    write_json(path, {**read_json(path), "windows": [{"start": "2014-12-02"}]})
    with pytest.raises(AgentError, match=rf"{path}: not the result of a monitoring \(KeyError: 'reasons'\)"):
        ACTIONS["retrain"].plan(planned, "concept_drift")


@pytest.mark.parametrize("namespace", [None, "team"])
def test_the_schedules_of_the_policy_are_paused_and_run_again(
    namespace: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_TOKEN", TOKEN)
    action = ACTIONS["pause_schedule"]
    with KubeflowApi(multi_user=namespace is not None) as kubeflow:
        for at, name in enumerate(("air-training", "air-batch", "another")):
            kubeflow.recurring[f"{at}-job"] = {
                "recurring_run_id": f"{at}-job",
                "display_name": name,
                "namespace": namespace,
                "status": "DISABLED" if name == "air-batch" else "ENABLED",
            }
        # Another team's schedule of the same name.
        kubeflow.recurring["9-job"] = {**kubeflow.recurring["2-job"], "recurring_run_id": "9-job", "namespace": "other"}
        kubeflow.recurring["9-job"]["display_name"] = "air-training" if namespace else "another"
        names = ["air-training", "air-batch", "gone"]
        site = site_of(tmp_path, schedules={"host": kubeflow.host, "namespace": namespace, "names": names})
        parameters = action.plan(site, "source_stale")
        assert parameters == {"names": ["air-training"]}
        before = action.observe(site, parameters)
        assert not action.done(site, parameters, before, KEY)
        for _ in range(2):
            action.do(site, parameters, before, KEY)
            assert action.done(site, parameters, before, KEY)
        states = [one["status"] for one in kubeflow.recurring.values()]
        assert states == ["DISABLED", "DISABLED", "ENABLED", "ENABLED"]
        assert action.plan(site, "source_stale") is None
        action.undo(site, parameters, before, KEY)
        assert [one["status"] for one in kubeflow.recurring.values()] == ["ENABLED", "DISABLED", "ENABLED", "ENABLED"]
