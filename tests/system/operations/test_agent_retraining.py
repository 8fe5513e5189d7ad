"""The agent really trains again once its plan is approved, and the version goes to production."""

from pathlib import Path

import pytest
import yaml

from almanac.core.files import read_json, write_json
from almanac.usecase import dump
from governance.registry import Registry
from operations.agent.followed import FollowedJournal
from operations.agent.policy import Policy
from operations.agent.site import Site
from operations.agent.work import Work
from orchestration.retraining import policy as retraining
from pipelines import training_pipeline
from tests.support.agent_at_work import alarm, the_step
from tests.support.production import Production, two_versions


@pytest.mark.slow
def test_an_approved_retraining_trains_and_promotes(production: Production, tmp_path: Path, beijing_csv: Path) -> None:
    name, registry = production.case.name, two_versions(production, tmp_path)
    path = tmp_path / f"{name}.yaml"
    path.write_text(dump(production.case))
    window = {
        "start": "2014-12-02T00:00:00",
        "stop": "2015-01-01T00:00:00",
        "breach": True,
        "reasons": ["iws is stuck"],
    }
    document = {"kind": "monitoring", "use_case": name, "breached": True, "windows": [window]}
    write_json(tmp_path / "runs" / name / "monitoring" / "latest" / "monitoring.json", document)
    rules = {"use_cases": {name: {"file": str(path)}}, "causes": {"bad_release": ["retrain"]}}
    policy = Policy.model_validate(rules)
    site = Site(name, policy, policy.use_cases[name], registry, tmp_path / "runs", training_pipeline)
    work = Work(site, FollowedJournal(registry, name), act=True)
    work.note(alarm(name))
    work.advance()
    retraining.approve(site.plans(), the_step(work).parameters["plan"], who="bob", why="the sensor is stuck")
    work.advance()
    step = the_step(work)
    assert step.state == "verified", [entry.why for entry in work.journal.entries()]
    assert step.result["result"] == "promoted"
    current = Registry(registry).current(name)
    assert current is not None
    assert (current.number, step.result["production"]) == (step.result["version"], 1)
    run = tmp_path / "runs" / name / step.result["run"]
    # The plan's window is that of the use case's policy, and ends with the newest data.
    assert read_json(run / "model" / "manifest.json")["split"]["train_from"].startswith("2010-12")
    service = yaml.safe_load((run / "inferenceservice.yaml").read_text().split("---")[1])
    assert service["metadata"]["annotations"]["almanac.io/version"] == str(current.number)
