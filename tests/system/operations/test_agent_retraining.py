"""The agent really trains again once its plan is approved, and the version goes to production."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from almanac.core.files import read_json
from almanac.usecase import dump
from almanac.usecase.override import load_with
from governance.registry import Registry
from operations.agent.followed import FollowedJournal
from operations.agent.policy import Policy
from operations.agent.site import Site
from operations.agent.work import Work
from orchestration.retraining import policy as retraining
from pipelines import training_pipeline
from tests.support.agent_at_work import alarm, the_step, write_breach
from tests.support.production import QUICK, ROOT, Production
from tests.support.training_world import ITEMS

#: Changes that keep the training short: few features, and intervals without trees.
SMALL = [
    f"features.items={json.dumps(ITEMS)}",
    "evaluation.groups=[]",
    "training.intervals={level: 0.9, bins: 4}",
]


@pytest.mark.slow
def test_an_approved_retraining_trains_and_promotes(production: Production, tmp_path: Path, beijing_csv: Path) -> None:
    name, registry = production.case.name, str(tmp_path / "registry")
    shutil.copytree(production.registry, registry)
    path = tmp_path / f"{name}.yaml"
    path.write_text(dump(load_with(ROOT / "usecases" / f"{name}.yaml", [*QUICK, *SMALL])))
    write_breach(tmp_path / "runs", name, "iws is stuck")
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
