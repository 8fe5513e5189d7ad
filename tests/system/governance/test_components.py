"""Registration and documentation as the pipeline calls them: real artifacts, both policies, twice the same run."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from almanac.core.errors import DocumentError, GateError, RegistryError
from almanac.core.files import read_json, write_json
from almanac.core.usage import measured
from almanac.usecase import dump, load_text
from almanac.usecase.override import load_with
from almanac.usecase.training_section import Target
from components.documentation.component import documentation
from components.registration.component import registration
from governance.documentation import document
from governance.documents.artifacts import Artifacts, run_files
from governance.registration import actor, register
from governance.registry import Registry, collect
from governance.verify import verify
from governance.verify.metrics import check_metrics
from tests.support.chosen_targets import with_targets
from tests.support.governance_world import ROOT, World, artifacts_of
from tests.support.real_run import make_run
from tests.support.use_case_artifact import use_case_artifact

INPUTS = {
    "figures": "metrics.json",
    "decision": "gate.json",
    "lineage": "lineage.json",
    "tuning": "tuning.json",
    "evaluation": "evaluation.json",
}


def inputs(run: Path) -> dict[str, Any]:
    """Return the artifacts of a run that is registered."""
    files = {name: dsl.Artifact(name=name, uri=str(run / path)) for name, path in INPUTS.items()}
    model = dsl.Model(name="model", uri=str(run / "model"))
    return {
        **files,
        "model": model,
        "predictions": dsl.Dataset(name="predictions", uri=str(run / "predictions.parquet")),
    }


def tail(world: World, run: Path, out: Path, environment: str = "local") -> bool:
    """Run both components as Kubeflow's executor does."""
    out.mkdir(parents=True)
    told = dsl.Artifact(name="registration", uri=str(out / "registration.json"))
    common = {"usecase": use_case_artifact(world.usecase, out), "registry": str(out.parent / "registry")}
    registration.python_func(environment=environment, registration=told, **common, **inputs(run))
    promoted: bool = documentation.python_func(
        registration=told,
        governance=dsl.Artifact(name="governance", uri=str(out / "governance")),
        page=dsl.HTML(name="page", uri=str(out / "page.html")),
        **common,
    )
    return promoted


def test_a_local_run_ends_in_production_with_verified_documents(world: World, trained: Path, tmp_path: Path) -> None:
    assert tail(world, trained, tmp_path / "one") is True
    registry = Registry(tmp_path / "registry")
    assert registry.stages("air_quality") == {"production": 1}
    kinds = ["policy_set", "registered", "documented", "promoted"]
    assert [event.kind for event in registry.log("air_quality")] == kinds
    assert (tmp_path / "one" / "page.html").read_bytes() == (
        tmp_path / "one" / "governance" / "index.html"
    ).read_bytes()
    shutil.copytree(trained, tmp_path / "run")
    shutil.copytree(tmp_path / "one" / "governance", tmp_path / "run" / "governance")
    verify(tmp_path / "run", str(tmp_path / "registry"))


def test_the_same_run_again_changes_nothing(world: World, trained: Path, tmp_path: Path) -> None:
    tail(world, trained, tmp_path / "one")
    tail(world, trained, tmp_path / "two")
    assert len(Registry(tmp_path / "registry").log("air_quality")) == 4
    for path in (tmp_path / "one" / "governance").iterdir():
        assert (tmp_path / "two" / "governance" / path.name).read_bytes() == path.read_bytes()


def test_the_same_run_again_does_not_undo_a_demotion(world: World, trained: Path, tmp_path: Path) -> None:
    tail(world, trained, tmp_path / "one")
    registry = Registry(tmp_path / "registry")
    registry.demote("air_quality", 1, who="bob", why="worse at night")
    assert tail(world, trained, tmp_path / "two") is False
    assert registry.stages("air_quality") == {}
    assert (tmp_path / "two" / "governance" / "model_card.md").exists()


def test_a_cluster_run_waits_for_somebody_else(
    world: World, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from governance import signing

    signing.generate_key(tmp_path / "key.pem")
    monkeypatch.setenv("ALMANAC_SIGNING_KEY", str(tmp_path / "key.pem"))
    assert tail(world, trained, tmp_path / "one", "cluster") is False
    registry = Registry(tmp_path / "registry")
    assert registry.stages("air_quality") == {}
    with pytest.raises(RegistryError, match="needs an approval by somebody other than ann"):
        registry.promote("air_quality", 1, who="ann", why="go")
    registry.approve("air_quality", 1, who="bob", why="read the documents")
    tail(world, trained, tmp_path / "two", "cluster")
    registry.promote("air_quality", 1, who="ann", why="approved, and the same run again changed no document")
    assert registry.stages("air_quality") == {"production": 1}


def test_no_file_option_or_environment_goes_past_a_shared_registrys_policy(
    world: World, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from governance import signing

    signing.generate_key(tmp_path / "key.pem")
    monkeypatch.setenv("ALMANAC_SIGNING_KEY", str(tmp_path / "key.pem"))
    url, name = str(tmp_path / "registry"), "air_quality"
    assert tail(world, trained, tmp_path / "one", "cluster") is False
    assert tail(world, trained, tmp_path / "laptop", "local") is False
    shutil.copytree(trained, tmp_path / "run")
    write_json(tmp_path / "run" / "tuning.json", {**read_json(trained / "tuning.json"), "seed": 8})
    file = ROOT / "usecases" / "air_quality.yaml"
    lax = load_with(file, ["governance.approval.cluster=none", "governance.approval.local=none"])
    for number, environment in ((2, "cluster"), (2, "local")):
        told = register(lax, artifacts_of(tmp_path / "run"), url, environment, tmp_path / "registration.json")
        assert (told["version"], told["approval"]) == (number, "required")
    registry = Registry(url)
    assert registry.policy(name).approval == "required"
    assert registry.stages(name) == {}


def test_a_closed_gate_registers_nothing(world: World, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    gate = read_json(tmp_path / "run" / "gate.json")
    rules = [{**gate["rules"][0], "passed": False}, *gate["rules"][1:]]
    (tmp_path / "run" / "gate.json").write_text(json.dumps({**gate, "passed": False, "rules": rules}))
    with pytest.raises(GateError, match=r"The gate is closed:\n  .*pm25_1h"):
        tail(world, tmp_path / "run", tmp_path / "one")
    with pytest.raises(RegistryError, match=r"gate\.json: the gate is closed; nothing is registered"):
        register(world.usecase, artifacts_of(tmp_path / "run"), str(tmp_path / "registry"), "local", tmp_path / "told")
    assert not (tmp_path / "registry").exists()


def test_the_model_in_production_keeps_its_version_when_it_is_judged_beside_itself(
    world: World, trained: Path, tmp_path: Path
) -> None:
    tail(world, trained, tmp_path / "one")
    shutil.copytree(trained, tmp_path / "run")
    gate = read_json(tmp_path / "run" / "gate.json")
    write_json(tmp_path / "run" / "gate.json", {**gate, "registered": {"version": 1}})
    assert tail(world, tmp_path / "run", tmp_path / "two") is True
    registry = Registry(tmp_path / "registry")
    assert len(registry.log("air_quality")) == 4
    for path in (tmp_path / "one" / "governance").iterdir():
        assert (tmp_path / "two" / "governance" / path.name).read_bytes() == path.read_bytes()
    write_json(tmp_path / "run" / "tuning.json", {**read_json(trained / "tuning.json"), "seed": 8})
    told = register(
        world.usecase, artifacts_of(tmp_path / "run"), str(tmp_path / "registry"), "local", tmp_path / "told.json"
    )
    assert told["version"] == 2


def test_what_the_training_took_reaches_the_documents(world: World, trained: Path, tmp_path: Path) -> None:
    """Also by way of Kubeflow, which keeps a mapping in an artifact's metadata under the name of its type."""
    told = dsl.Artifact(name="registration", uri=str(tmp_path / "registration.json"))
    case, url = use_case_artifact(world.usecase, tmp_path), str(tmp_path / "registry")
    run = inputs(trained)
    with measured() as usage:
        pass
    run["model"].metadata["compute"] = {"struct": {**usage, "wall_seconds": 143.687}}
    registration.python_func(usecase=case, registry=url, environment="local", registration=told, **run)
    documentation.python_func(
        usecase=case,
        registry=url,
        registration=told,
        governance=dsl.Artifact(name="governance", uri=str(tmp_path / "governance")),
        page=dsl.HTML(name="page", uri=str(tmp_path / "page.html")),
    )
    assert read_json(tmp_path / "governance" / "registration.json")["compute"]["wall_seconds"] == 143.687


def test_documents_of_other_artifacts_than_were_registered(world: World, trained: Path, tmp_path: Path) -> None:
    url, told = str(tmp_path / "registry"), tmp_path / "registration.json"
    register(world.usecase, artifacts_of(trained), url, "local", told)
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / "tuning.json").write_text("{}")
    with pytest.raises(RegistryError, match=r"tuning\.json: not the file that version 1"):
        document(world.usecase, artifacts_of(tmp_path / "run"), told, url, tmp_path / "governance")
    assert Registry(url).version("air_quality", 1).documents is None


def test_an_unknown_environment(world: World, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="environment is 'prod'; expected local or cluster"):
        register(world.usecase, artifacts_of(trained), str(tmp_path), "prod", tmp_path / "registration.json")


def test_who_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALMANAC_ACTOR", " bob ")
    assert actor() == "bob"
    monkeypatch.setenv("ALMANAC_ACTOR", "")
    assert actor()


def test_a_probability_is_documented_and_verified_like_a_number(world: World, beijing: Any, tmp_path: Path) -> None:
    heavy = {"name": "heavy_6h", "column": "pm25", "horizon": "6h", "task": "classification", "above": 150.0}
    case = json.loads(dump(with_targets(world.usecase, [Target.model_validate(heavy)])))
    case["gates"] = [{"rule": "beats_baselines", "metric": "log_loss"}]
    # A class has no difference from the last known value.
    case["training"] |= {"candidates": [{"name": "trees", "kind": "lightgbm"}], "choose": {"prefer": ["trees"]}}
    usecase = load_text(json.dumps(case), "case")
    run = make_run(usecase, beijing, tmp_path / "run", ("heavy_6h",))
    register(usecase, artifacts_of(run), str(tmp_path / "registry"), "local", tmp_path / "told.json")
    document(usecase, artifacts_of(run), tmp_path / "told.json", str(tmp_path / "registry"), run / "governance")
    counts = {step.name: step.count for step in verify(run, str(tmp_path / "registry"))}
    assert counts["metrics"] > 100
    figures = read_json(run / "metrics.json")
    figures["targets"]["heavy_6h"]["auc"] += 1e-7
    write_json(tmp_path / "metrics.json", figures)
    forged = Artifacts({**run_files(run), **collect(run / "governance", "governance"),
                          "metrics.json": tmp_path / "metrics.json"})  # fmt: skip
    with pytest.raises(DocumentError, match=r"metrics\.json#/targets/heavy_6h/auc: states"):
        check_metrics(forged)
    metrics = read_json(run / "metrics.json")["targets"]["heavy_6h"]
    card = (run / "governance" / "model_card.md").read_text()
    assert f"log loss {metrics['log_loss']:.3f}" in card
    assert "| heavy_6h | persistence | log_loss |" in card
