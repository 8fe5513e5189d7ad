"""The steps of the monthly retrain, run as the workflow gives them, for each way in which it may be configured.

The variables and secrets that are not configured arrive as empty words, as on GitHub. `gh` is a program of this test
that writes down what it was asked for; the commands of the issue are run as they stand in it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

import fsspec
import pytest
import yaml

from almanac.core.files import read_json
from governance import signing
from governance.registry import Registry
from tests.support.cloud_storage import service_account, serving_cloud_storage
from tests.support.environment import install
from tests.support.kubeflow_api import TOKEN, KubeflowApi
from tests.support.object_store import serving_s3, use_endpoint
from tests.support.production import QUICK
from tests.support.training_world import SMALL

ROOT = Path(__file__).resolve().parents[3]
JOBS = yaml.safe_load((ROOT / ".github/workflows/retrain.yml").read_text())["jobs"]
_GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "team/almanac",
    "GITHUB_RUN_ID": "4711",
    "GITHUB_SERVER_URL": "https://github.example",
    "GITHUB_WORKFLOW_REF": "team/almanac/.github/workflows/retrain.yml@refs/heads/main",
}
_EXPRESSION = re.compile(r"\$\{\{ ([\w.-]+) \}\}")
_GH = """#!{python}
import json, os, pathlib, shutil, sys
calls = pathlib.Path(os.environ["GH_CALLS"])
with calls.open("a") as stream:
    stream.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1:3] == ["run", "download"]:
    there = pathlib.Path(sys.argv[sys.argv.index("--dir") + 1])
    for name in ("runs", "registry"):
        if pathlib.Path(name).exists():
            shutil.copytree(name, there / name, symlinks=True)
"""


@dataclass
class Workflow:
    """A checkout in which steps of the workflow run, with what the repository has configured."""

    place: Path
    configured: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def step(self, job: str, name: str, outputs: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a step with the variables that it is given; unset secrets and variables are empty."""
        (found,) = (one for one in JOBS[job]["steps"] if one.get("name") == name)
        values = {f"needs.train.outputs.{key}": value for key, value in (outputs or {}).items()}
        values |= {"github.repository": _GITHUB["GITHUB_REPOSITORY"], "github.token": "none"}

        def value(match: re.Match[str]) -> str:
            return values.get(match[1], self.configured.get(match[1].rpartition(".")[2], ""))

        given = {key: _EXPRESSION.sub(value, text) for key, text in found["env"].items()}
        return self.shell(found["run"], given)

    def shell(self, script: str, given: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        known = ("MAKE", "ALMANAC_", "KFP_", "AWS_", "GOOGLE_", "GITHUB_", "ACTIONS_")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(known)}
        files = {"GITHUB_OUTPUT": str(self.place / "output"), "GITHUB_STEP_SUMMARY": str(self.place / "summary")}
        files |= {"GH_CALLS": str(self.place / "calls"), "PATH": f"{self.place / 'bin'}:{os.environ['PATH']}"}
        mine = {"ALMANAC_REVISION": "0123456789abcdef", "ALMANAC_CACHE": str(ROOT / ".cache"), "COLUMNS": "200"}
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=self.place, env=inherited | files | mine | _GITHUB | self.environment | (given or {}),
            capture_output=True, text=True, check=False, timeout=900,
        )  # fmt: skip

    def retrain(self) -> subprocess.CompletedProcess[str]:
        (self.place / "output").unlink(missing_ok=True)
        return self.step("train", "Train and judge")

    @property
    def outputs(self) -> dict[str, str]:
        text = (self.place / "output").read_text()
        return {name: value for name, _, value in re.findall(r"(?ms)^(\w+)<<(end-\w+)\n(.*?)\n\2\n", text)}

    @property
    def calls(self) -> list[list[str]]:
        path = self.place / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def ask(self) -> None:
        """Run the job that asks, if its condition holds."""
        assert JOBS["ask"]["if"] == "needs.train.outputs.changed == 'true'"
        if self.outputs["changed"] == "true":
            done = self.step("ask", "Open an issue", self.outputs)
            assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The private key that the team has pinned, beside its public one, ALMANAC.pub."""
    path = tmp_path_factory.mktemp("key") / "signing.pem"
    signing.generate_key(path)
    path.with_name("ALMANAC.pub").write_bytes(signing.public_key(path))
    return path


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of steps that all paths share: they train the same model."""
    return tmp_path_factory.mktemp("steps")


@pytest.fixture
def workflow(tmp_path: Path, pem: Path, steps: Path) -> Workflow:
    """A checkout whose environment is installed, with a quick use case and a signing key."""
    place = tmp_path / "checkout"
    place.mkdir()
    for name in ("Makefile", "pipeline.py", "pyproject.toml", "requirements"):
        (place / name).symlink_to(ROOT / name)
    install(place)
    (place / "usecases").mkdir()
    case = yaml.safe_load((ROOT / "usecases/air_quality.yaml").read_text())
    case["targets"] = [target for target in case["targets"] if target["name"] in ("pm25_1h", "pm25_24h")]
    short = [setting for setting in (*QUICK, *SMALL) if not setting.startswith(("targets", "drift"))]
    for path, _, value in (setting.partition("=") for setting in short):
        *parents, last = path.split(".")
        reduce(dict.__getitem__, parents, case)[last] = yaml.safe_load(value)
    # A quick model need not beat the climatology of one winter month by its whole interval, nor cover its rare bands.
    coverage = {"rule": "coverage", "within": 0.2, "bands": False}
    case["gates"] = [coverage, {"rule": "not_worse_than_registered", "metric": "rmse"}]
    (place / "usecases/air_quality.yaml").write_text(yaml.safe_dump(case))
    (place / "runs/air_quality").mkdir(parents=True)
    for name in (".cache", ".work"):
        (steps / name).mkdir(exist_ok=True)
        (place / "runs/air_quality" / name).symlink_to(steps / name)
    (place / "bin").mkdir()
    (place / "bin/gh").write_text(_GH.format(python=sys.executable))
    (place / "bin/almanac").write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/pipeline.py "$@"\n')
    for program in (place / "bin").iterdir():
        program.chmod(0o755)
    shutil.copy(pem.with_name("ALMANAC.pub"), place)
    return Workflow(place, {"ALMANAC_SIGNING_KEY_PEM": pem.read_text()})


def commands_of(body: str) -> list[str]:
    (block,) = re.findall(r"(?ms)^```sh\n(.*?)^```$", body)
    return str(block).splitlines()


def test_with_a_key_alone_the_version_is_in_the_run_and_the_issue_leads_to_production(workflow: Workflow) -> None:
    done = workflow.retrain()
    assert done.returncode == 0, done.stdout + done.stderr
    # The secret is in no output, and no later process of the run sees it.
    assert "PRIVATE KEY" not in done.stdout + done.stderr
    outputs = workflow.outputs
    assert (outputs["changed"], outputs["title"]) == ("true", "Approve air_quality/1, retrained on data to 2015-01-01")
    body = outputs["body"]
    assert "https://github.example/team/almanac/actions/runs/4711" in body
    assert "No version is in production: everything is new." in body
    assert "| trained on | – | the start to 2014-12-01 |" in body
    assert (workflow.place / "summary").read_text() == body
    workflow.ask()
    assert workflow.calls == [["issue", "create", "--title", outputs["title"], "--body", body]]

    for command in commands_of(body):
        if "reject" in command:
            continue
        done = workflow.shell(command, {"ALMANAC_ACTOR": "ann"})
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    promoted = Registry(str(workflow.place / "run/registry")).current("air_quality")
    assert promoted is not None
    assert promoted.number == 1
    assert Registry(str(workflow.place / "registry")).current("air_quality") is None

    # Whoever pinned another key is told.
    strange = workflow.place / "other.pem"
    signing.generate_key(strange)
    (workflow.place / "ALMANAC.pub").write_bytes(signing.public_key(strange))
    verify = next(command for command in commands_of(body) if command.startswith("almanac verify"))
    assert workflow.shell(verify).returncode != 0


def test_the_same_data_ask_nobody_and_other_ones_are_shown_beside_production(workflow: Workflow) -> None:
    assert workflow.retrain().returncode == 0
    local = Registry(str(workflow.place / "registry"))
    local.approve("air_quality", 1, who="ann", why="read")
    local.promote("air_quality", 1, who="ann", why="go")

    path = workflow.place / "usecases/air_quality.yaml"
    path.write_text(path.read_text().replace("alpha: 1000.0", "alpha: 300.0"))
    done = workflow.retrain()
    assert done.returncode == 0, done.stdout + done.stderr
    body = workflow.outputs["body"]
    assert workflow.outputs["title"].startswith("Approve air_quality/2")
    assert "### Beside version 1, in production, on the same rows" in body
    rows = re.findall(r"^\| (pm25_\w+) \| rmse \| ([\d.]+) \| ([\d.]+) \| ([\d,]+) \|$", body, flags=re.MULTILINE)
    judged = read_json(workflow.place / "runs/air_quality/latest/metrics.json")["targets"]
    assert [row[0] for row in rows] == list(judged)
    for name, production, new, count in rows:
        assert float(new) == pytest.approx(judged[name]["rmse"], rel=1e-3)
        assert float(production) == pytest.approx(float(new), rel=0.05)
        assert int(count.replace(",", "")) == judged[name]["n"]
    assert "| | version 1 | version 2 |" in body
    assert re.search(r"^\| pm25_1h: ridge\.alpha \| 1000 \| 300 \|$", body, flags=re.MULTILINE)

    again = workflow.retrain()
    assert again.returncode == 0, again.stdout + again.stderr
    assert workflow.outputs == {"changed": "false"}
    before = len(workflow.calls)
    workflow.ask()
    assert len(workflow.calls) == before
    assert "air_quality/2 was registered before; nothing changed" in again.stdout


def test_a_closed_gate_fails_the_step_and_asks_nobody(workflow: Workflow) -> None:
    path = workflow.place / "usecases/air_quality.yaml"
    case = yaml.safe_load(path.read_text())
    case["gates"] = [{"rule": "max_error", "metric": "rmse", "target": "pm25_1h", "value": 0.1}]
    path.write_text(yaml.safe_dump(case))
    done = workflow.retrain()
    assert done.returncode != 0
    assert "The gate is closed" in done.stderr
    assert workflow.outputs == {"changed": "false"}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving_s3() as url:
        use_endpoint(monkeypatch, url)
        fsspec.filesystem("s3").makedirs("models", exist_ok=True)
        yield url


@pytest.mark.parametrize("service", ["AWS", "another S3"])
def test_with_a_bucket_the_registry_outlives_the_machine(workflow: Workflow, s3: str, service: str) -> None:
    # Servers of one process share their buckets.
    registry = f"s3://models/the registry of {service}"
    secrets = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}
    workflow.configured |= secrets | {"ALMANAC_REGISTRY": registry}
    if service == "AWS":
        # Stands for Amazon's own address; the variable of the workflow is empty.
        workflow.environment["AWS_ENDPOINT_URL_S3"] = s3
    else:
        workflow.configured["AWS_ENDPOINT_URL"] = s3
    done = workflow.retrain()
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (workflow.place / "registry").exists()
    kept = Registry(registry)
    assert kept.version("air_quality", 1).policy == "required"
    commands = commands_of(workflow.outputs["body"])
    assert f"almanac registry show air_quality/1 --registry '{registry}'" in commands
    access = {"AWS_ENDPOINT_URL": s3, **secrets, "ALMANAC_ACTOR": "ann"}
    for command in commands[2:5]:
        done = workflow.shell(command, access)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert kept.version("air_quality", "production").number == 1


def test_with_a_bucket_of_google_the_registry_outlives_the_machine(workflow: Workflow) -> None:
    with serving_cloud_storage("models") as url:
        # The layout of a bucket is asked for by gRPC, which this storage does not speak.
        workflow.environment |= {"STORAGE_EMULATOR_HOST": url, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
        workflow.configured |= {"ALMANAC_REGISTRY": "gs://models/registry", "GCS_CREDENTIALS": service_account(url)}
        done = workflow.retrain()
        assert done.returncode == 0, done.stdout + done.stderr
        assert "private_key" not in done.stdout + done.stderr
        assert workflow.outputs["changed"] == "true"
        show = workflow.shell("almanac registry list --registry gs://models/registry")
        assert show.returncode != 0, "anonymous callers have no access"


@pytest.mark.parametrize(
    ("configured", "missing"),
    [
        ({"ALMANAC_SIGNING_KEY_PEM": ""}, ["nothing to sign with that somebody could check", "id-token: write"]),
        ({"ALMANAC_SIGNING_KEY_PEM": "none"}, ["signing.pem: not an unencrypted PEM private key"]),
        ({"ALMANAC_REGISTRY": "s3://nowhere/r"}, ["the secrets AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"]),
        ({"ALMANAC_REGISTRY": "gs://nowhere/r"}, ["the secret GCS_CREDENTIALS"]),
        ({"ALMANAC_REGISTRY": "ftp://nowhere/r"}, ["a ftp:// store has no atomic create-only put"]),
        ({"KFP_HOST": "http://127.0.0.1:9"}, ["the secret KFP_TOKEN", "the variable KFP_PIPELINE_ROOT"]),
        (
            {"ALMANAC_REGISTRY": "s3://nowhere/r", "ALMANAC_SIGNING_KEY_PEM": ""},
            ["the secrets AWS_ACCESS_KEY_ID", "nothing to sign with"],
        ),
    ],
)
def test_what_is_missing_is_said_before_the_training(
    workflow: Workflow, s3: str, configured: dict[str, str], missing: list[str]
) -> None:
    with serving_cloud_storage("models") as google:
        stores = {"AWS_ENDPOINT_URL_S3": s3, "AWS_EC2_METADATA_DISABLED": "true", "STORAGE_EMULATOR_HOST": google}
        workflow.environment |= stores | {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false", "NO_GCE_CHECK": "true"}
        workflow.configured |= configured
        done = workflow.retrain()
    assert done.returncode != 0
    assert "the retraining was not started" in done.stderr
    assert "Traceback" not in done.stderr
    for text in missing:
        assert text in done.stderr
    assert "training" not in done.stdout
    assert not (workflow.place / "output").exists()


def test_without_a_key_the_identity_of_the_workflow_is_tried_before_the_training(workflow: Workflow) -> None:
    workflow.configured = {}
    # No token comes from there, as on a runner that may not ask for one.
    workflow.environment |= {"ACTIONS_ID_TOKEN_REQUEST_URL": "http://127.0.0.1:9/?v=1"}
    workflow.environment |= {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "none"}
    done = workflow.retrain()
    assert done.returncode != 0
    assert "ALMANAC_SIGNING=keyless: cannot sign" in done.stderr
    assert "or give the secret ALMANAC_SIGNING_KEY_PEM" in done.stderr
    assert JOBS["train"]["permissions"]["id-token"] == "write"


@pytest.fixture
def server() -> Iterator[KubeflowApi]:
    with KubeflowApi() as server:
        yield server


def kubeflow(workflow: Workflow, server: KubeflowApi, root: Path) -> None:
    workflow.configured |= {"KFP_HOST": server.host, "KFP_TOKEN": TOKEN, "KFP_PIPELINE_ROOT": str(root)}


def test_on_kubeflow_the_split_moves_and_the_outputs_are_fetched(
    workflow: Workflow, server: KubeflowApi, tmp_path: Path
) -> None:
    assert workflow.retrain().returncode == 0
    (record,) = (workflow.place / "runs/air_quality").glob("2*")
    root = tmp_path / "root"
    for number in range(20):
        run = root / "air-quality-training" / f"{number}-run"
        for task, output, source in (
            ("gate", "decision", "gate.json"),
            ("evaluation", "figures", "metrics.json"),
            ("training", "tuning", "tuning.json"),
            ("registration", "registration", "registration.json"),
            ("training", "model", "model"),
        ):
            target = run / task / "5f0c" / output
            target.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (record / source).is_dir() else shutil.copyfile
            copy(record / source, target)
    kubeflow(workflow, server, root)
    workflow.configured["ALMANAC_REGISTRY"] = "s3://models/registry"
    done = workflow.retrain()
    assert done.returncode == 0, done.stdout + done.stderr
    ((identity, submitted),) = server.runs.items()
    parameters = submitted["runtime_config"]["parameters"]
    assert parameters["registry"] == "s3://models/registry"
    split = yaml.safe_load(parameters["overrides"])["split"]
    assert (split["test"], split["train"], split["test_from"]) == ("last 30d", "expanding", None)
    assert submitted["runtime_config"]["pipeline_root"] == str(root)
    assert read_json(workflow.place / "runs" / identity / "gate.json")["passed"] is True
    assert workflow.outputs["title"] == "Approve air_quality/1, retrained on data to 2015-01-01"


def test_a_failed_run_on_kubeflow_fails_the_step(workflow: Workflow, server: KubeflowApi, tmp_path: Path) -> None:
    kubeflow(workflow, server, tmp_path)
    server.run_states = [("FAILED", {"gate": "FAILED"})]
    done = workflow.retrain()
    assert done.returncode != 0
    assert "ended as FAILED; failed: gate" in done.stderr


def test_the_schedule_is_kept_alive(workflow: Workflow) -> None:
    assert workflow.step("keep-alive", "Enable the workflow again").returncode == 0
    assert workflow.calls == [["workflow", "enable", "retrain.yml"]]
