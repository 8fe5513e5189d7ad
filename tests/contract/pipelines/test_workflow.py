"""Compiled packages against the rules of Kubeflow's API server and of Argo, of which a Workflow is one object."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from almanac.usecase import dump, load
from almanac.usecase.packed import fits, pack
from orchestration.compiled import package
from pipelines import BUILDERS
from tests.support.packages import documents, size_of, spec_of
from tests.support.small import larger
from tests.support.workflow_size import LIMIT, workflow_size

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = sorted((ROOT / "compiled").glob("*.yaml"))
each_package = pytest.mark.parametrize("path", PACKAGES, ids=lambda path: path.stem)


@each_package
def test_a_workflow_fits_into_argos_object(path: Path) -> None:
    size = size_of(path)
    assert size.compressed < 256_000
    assert size.inputs < 256_000
    # Below its limit Argo never compresses the status, whose tasks Kubeflow then no longer reports.
    assert size.raw < 0.85 * LIMIT


@pytest.mark.parametrize("factor", [4, 16])
def test_a_larger_use_case_fits_as_well(factor: int) -> None:
    """From some size on it does not travel in the pipeline, so that the object no longer grows."""
    case = larger(load(ROOT / "usecases" / "air_quality.yaml"), factor)
    for build in BUILDERS.values():
        size = workflow_size(package(build(case)))
        assert size.compressed < 256_000
        assert size.inputs < 256_000
        assert size.raw < 0.8 * LIMIT


@pytest.mark.parametrize("name", ["air_quality", "traffic"])
def test_the_reference_use_cases_travel_in_their_pipelines(name: str) -> None:
    """So that a package uploaded by hand runs without another step."""
    assert fits(pack(load(ROOT / "usecases" / f"{name}.yaml")))


@each_package
def test_no_task_has_large_parameters(path: Path) -> None:
    assert max(size_of(path).parameters.values()) < 1_000


def test_the_estimate_finds_a_use_case_that_is_a_parameter_of_every_task() -> None:
    """A run of such a package ended at 1,074,887 bytes, compressed, when its ninth task of eleven started."""
    data = (ROOT / "compiled" / "air_quality_training.yaml").read_bytes()
    spec, platform = documents(data)
    text = dump(load(ROOT / "usecases" / "air_quality.yaml"))
    for _, task in _tasks(spec):
        task.setdefault("inputs", {}).setdefault("parameters", {})["usecase"] = {"runtimeValue": {"constant": text}}
    size = workflow_size(yaml.dump_all([spec, platform], Dumper=yaml.CSafeDumper).encode())
    assert size.raw > 2 * LIMIT
    assert size.compressed > 0.8 * LIMIT


@each_package
def test_a_task_that_is_cached_reads_only_what_is_cached(path: Path) -> None:
    """The server's key holds the ids of input artifacts, and a task that ran again has new ones."""
    spec = spec_of(path)
    cached = {name for name, task in _tasks(spec) if task.get("cachingOptions", {}).get("enableCache")}
    assert {"configuration", "ingestion", "validation"} <= cached
    for name, task in _tasks(spec):
        if name in cached:
            artifacts = task.get("inputs", {}).get("artifacts", {}).values()
            assert {_producer(one) for one in artifacts} <= cached, name
    if path.stem.endswith("_training"):
        assert {"preprocessing", "training", "evaluation"} <= cached


@each_package
def test_no_task_asks_for_retries(path: Path) -> None:
    """Kubeflow 2.17 retries what was evicted; what exits with an error would fail again, and network calls retry."""
    spec = spec_of(path)
    assert not [name for name, task in _tasks(spec) if "retryPolicy" in task]


@each_package
def test_the_form_has_short_values(path: Path) -> None:
    spec = spec_of(path)
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    assert all(len(str(parameter.get("defaultValue", ""))) < 64 for parameter in parameters.values())


def test_sources_without_a_digest_are_cached_by_their_fingerprint() -> None:
    case = load(ROOT / "usecases" / "air_quality.yaml")
    sources = [source.model_copy(update={"sha256": None}) for source in case.sources]
    spec = documents(package(BUILDERS["batch"](case.model_copy(update={"sources": sources}))))[0]
    tasks = dict(_tasks(spec))
    assert not tasks["fingerprint"].get("cachingOptions", {}).get("enableCache")
    origin = tasks["ingestion"]["inputs"]["parameters"]["fingerprint"]["taskOutputParameter"]
    assert origin == {"outputParameterKey": "Output", "producerTask": "fingerprint"}
    assert tasks["ingestion"]["cachingOptions"]["enableCache"]


def test_a_training_is_cached_by_the_fingerprint_and_ends_where_nothing_has_changed() -> None:
    """Each pod waits up to ten seconds for Argo's queue: a repeated run has four, and no task of the training."""
    spec = spec_of(ROOT / "compiled" / "air_quality_training.yaml")
    assert set(spec["root"]["dag"]["tasks"]) == {"preflight", "condition-1"}
    assert not spec["root"]["dag"]["tasks"]["preflight"].get("cachingOptions", {}).get("enableCache")
    condition = spec["root"]["dag"]["tasks"]["condition-1"]
    assert condition["triggerPolicy"] == {
        "condition": "inputs.parameter_values['pipelinechannel--preflight-Output'] == true"
    }
    inner = spec["components"]["comp-condition-1"]["dag"]["tasks"]
    assert {"ingestion", "training", "gate", "registration", "documentation", "deployment"} < inner.keys()
    # By its digest, and not as an artifact of a task that is never cached.
    assert "artifacts" not in inner["configuration"]["inputs"]
    assert inner["configuration"]["inputs"]["parameters"]["compiled"] == {
        "componentInputParameter": "pipelinechannel--preflight-compiled"
    }
    assert inner["ingestion"]["inputs"]["parameters"]["fingerprint"] == {
        "componentInputParameter": "pipelinechannel--preflight-fingerprint"
    }


def test_cached_tasks_of_a_training_read_of_the_run_only_where_its_use_case_lies() -> None:
    """An artifact that is written anew has another id, by which the server's cache knows every task after it."""
    spec = spec_of(ROOT / "compiled" / "air_quality_training.yaml")
    for name, task in _tasks(spec):
        given = task.get("inputs", {}).get("parameters", {})
        if task.get("cachingOptions", {}).get("enableCache"):
            from_run = {one.get("componentInputParameter", "").split("--")[-1] for one in given.values()}
            read = {"registry", "environment", "push"} & from_run
            assert read == ({"registry"} if name == "configuration" else set()), name


@each_package
def test_the_first_task_is_given_the_address_of_the_registry(path: Path) -> None:
    """It refuses a cluster that has none, before any work."""
    spec = spec_of(path)
    first = [task for task in spec["root"]["dag"]["tasks"].values() if not task.get("dependentTasks")]
    assert [task["taskInfo"]["name"] for task in first] == [
        "preflight" if "_training" in path.stem else "configuration"
    ]
    given = first[0]["inputs"]["parameters"]
    assert {name: given[name]["componentInputParameter"] for name in ("registry", "environment")} == {
        "registry": "registry",
        "environment": "environment",
    }


def _producer(artifact: Any) -> str:
    """Return the task that made an input, also where it comes from the graph around: pipelinechannel--TASK-OUTPUT."""
    if "taskOutputArtifact" in artifact:
        return str(artifact["taskOutputArtifact"]["producerTask"])
    return str(artifact["componentInputArtifact"]).removeprefix("pipelinechannel--").rpartition("-")[0]


def _tasks(spec: Any) -> Iterator[tuple[str, Any]]:
    """Yield the tasks that run containers, by name."""
    for graph in (spec["root"], *spec["components"].values()):
        for name, task in graph.get("dag", {}).get("tasks", {}).items():
            if "executorLabel" in spec["components"][task["componentRef"]["name"]]:
                yield name, task
