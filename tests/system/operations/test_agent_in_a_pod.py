"""A retraining from the agent's pod: a process with the arguments, environment and mounts of the manifest alone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from almanac.core.files import pretty_json, read_json
from governance.registry.stores import open_store
from operations.agent.ledger import read_ledger
from operations.journal import Journal
from orchestration.published_runs import PublishedRuns
from orchestration.retraining import policy as retraining
from orchestration.retraining.audit_log import AuditLog
from orchestration.rundir import new_run_id, run_record
from tests.support.agent_at_work import breached_site
from tests.support.kubeflow_api import TOKEN, KubeflowApi
from tests.support.object_store import serving_s3, upload, use_endpoint
from tests.support.server import ROOT, free_port, wait_for

NAME, REGISTRY, IMAGE = "air_quality", "s3://models/registry", "registry.local/components-python:7"
MANIFEST = list(yaml.safe_load_all((ROOT / "deploy/room/agent.yaml").read_text()))
POD = next(item for item in MANIFEST if item["kind"] == "Deployment")["spec"]["template"]["spec"]
KEY = "a-key-of-the-sender"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket with a registry, whose newest monitoring on a cluster breaches; yields the store's address."""
    site = breached_site(tmp_path)
    with serving_s3() as address:
        use_endpoint(monkeypatch, address)
        upload(Path(site.registry), REGISTRY)
        document = read_json(site.runs / NAME / "monitoring" / "latest" / "monitoring.json")
        started = site.clock()
        run_id = new_run_id(started, "a" * 64)
        record = run_record(run_id, NAME, "a" * 64, started, "kubeflow", REGISTRY, [])
        files = {"run.json": pretty_json(record).encode(), "monitoring.json": pretty_json(document).encode()}
        PublishedRuns(open_store(REGISTRY)).publish(f"{NAME}/monitoring/{run_id}", files, b"")
        yield address


def environment(store: str) -> dict[str, str]:
    """Return the variables of the container: those of its image, of Kubernetes and of the manifest."""
    kept = {
        "almanac": {"registry": REGISTRY, "image": IMAGE},
        "almanac-store": {"access_key": "testing", "secret_key": "testing", "endpoint": store},
    }
    found = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    found |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    for variable in POD["containers"][0]["env"]:
        (source,) = variable["valueFrom"].values()
        if (value := kept[source["name"]].get(source["key"])) is not None:
            found[variable["name"]] = value
        else:
            assert source["optional"], variable
    # Moto asks for a region, which boto's own default is for stores of the cluster.
    return found | {"AWS_DEFAULT_REGION": "us-east-1"}


def mounts(folder: Path, host: str) -> dict[str, Path]:
    """Return a directory for each mount of the container, filled as its volume is."""
    found = {mount["mountPath"]: folder / mount["name"] for mount in POD["containers"][0]["volumeMounts"]}
    for directory in found.values():
        directory.mkdir()
    policy: dict[str, Any] = yaml.safe_load((ROOT / "deploy/room/agent-policy.yaml").read_text())
    settings = policy["use_cases"][NAME]
    assert settings.pop("server") and settings.pop("service")
    settings |= {"file": settings["file"].replace("/app", str(ROOT)), "training": {"host": host}}
    policy["causes"]["bad_release"] = ["retrain"]
    (found["/etc/almanac"] / "policy.yaml").write_text(yaml.safe_dump(policy | {"watch_seconds": 0.5}))
    (found["/run/secrets/almanac"] / "agent_key").write_text(f"{KEY}\n")
    (found["/var/run/secrets/kubeflow/pipelines"] / "token").write_text(TOKEN)
    return found


def _here(argument: str, places: dict[str, Path]) -> str:
    """Return an argument with the path of a mount replaced by its directory."""
    name, _, value = argument.partition("=")
    found = [path for path in places if value.startswith(f"{path}/")]
    return f"{name}={places[found[0]]}{value.removeprefix(found[0])}" if found else argument


@contextmanager
def pod(folder: Path, store: str, host: str) -> Iterator[str]:
    """Run the container's process, and yield its address."""
    places, port = mounts(folder, host), free_port()
    arguments = [_here(argument, places) for argument in POD["containers"][0]["args"]]
    arguments += [f"--port={port}", "--act"]
    # Where the pod has a mount, this machine has a variable.
    own = {"KF_PIPELINES_SA_TOKEN_PATH": str(places["/var/run/secrets/kubeflow/pipelines"] / "token")}
    own |= {"HOME": str(places["/tmp"]), "TMPDIR": str(places["/tmp"])}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "pipeline.py"), *arguments],
        cwd=places["/tmp"],
        env=environment(store) | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("agent on http"), process.communicate()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        said = process.communicate()[1]
        assert TOKEN not in said and "Traceback" not in said, said


def test_an_approved_retraining_is_submitted_from_the_agents_pod(store: str, tmp_path: Path) -> None:
    folder = tmp_path / "pod"
    folder.mkdir()
    with KubeflowApi() as api, pod(folder, store, api.host) as address:
        labels = {"alertname": "AlmanacCanaryFailed", "use_case": NAME, "area": "serving"}
        alert = {"status": "firing", "labels": labels, "startsAt": "2026-01-05T12:00:00Z"}
        sender = {"authorization": f"Bearer {KEY}"}
        assert httpx.post(f"{address}/alerts", json={"alerts": [alert]}, headers=sender).status_code == 200
        journal, plans = Journal(REGISTRY, NAME), AuditLog(REGISTRY, NAME)
        wait_for(lambda: any(entry.kind == "proposed" for entry in plans.entries()))
        # Only now, as the agent proposes the action after its plan.
        wait_for(lambda: bool(read_ledger(NAME, journal.entries()).steps))
        (step,) = read_ledger(NAME, journal.entries()).steps.values()
        assert (step.action, step.state, api.runs) == ("retrain", "proposed", {})
        retraining.approve(plans, step.parameters["plan"], who="bob", why="looked at it")
        wait_for(lambda: bool(api.runs))
        (run,) = api.runs.values()
    (version,), (pipeline,) = api.versions.values(), api.pipelines.values()
    assert pipeline["display_name"] == "air-quality-training"
    assert run["runtime_config"]["parameters"] == {"registry": REGISTRY, "base": "", "environment": "cluster"}
    executors = version["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"].values()
    assert {executor["container"]["image"] for executor in executors} == {IMAGE}
