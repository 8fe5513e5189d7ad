"""The commands of the monthly retrain, run as the workflow gives them: with its variables unset and set."""

import os
import re
import subprocess
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import pytest
import yaml

from governance.registry import Registry
from tests.support.environment import install
from tests.support.kubeflow_api import TOKEN, KubeflowApi
from tests.system.pipelines.test_training_pipeline import QUICK

ROOT = Path(__file__).resolve().parents[3]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/retrain.yml").read_text())["jobs"]["train"]
_VALUE = re.compile(r"\$\{\{ (?:vars|secrets)\.(\w+) \}\}")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A working directory as of a checkout whose environment is installed, where runs leave nothing behind."""
    place = tmp_path / "checkout"
    place.mkdir()
    for name in ("Makefile", "pipeline.py", "pyproject.toml", "requirements", "usecases"):
        (place / name).symlink_to(ROOT / name)
    install(place)
    return place


def step(name: str, checkout: Path, configured: dict[str, str], **more: str) -> subprocess.CompletedProcess[str]:
    """Run a step of the workflow in a checkout, where the repository has these variables and secrets configured."""
    (found,) = (one for one in WORKFLOW["steps"] if one.get("name") == name)
    given = {**WORKFLOW["env"], **found["env"]}
    environment = {key: _VALUE.sub(lambda match: configured.get(match[1], ""), text) for key, text in given.items()}
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "ALMANAC_", "KFP_"))}
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", found["run"]],
        cwd=checkout, env=inherited | environment | {"ALMANAC_REVISION": "0123456789abcdef"} | more,
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.fixture
def server() -> Iterator[KubeflowApi]:
    with KubeflowApi() as server:
        yield server


def test_with_a_host_and_nothing_else_the_cluster_says_where_things_are(server: KubeflowApi, checkout: Path) -> None:
    done = step("On Kubeflow", checkout, {"KFP_HOST": server.host, "KFP_TOKEN": TOKEN})
    assert done.returncode == 0, done.stderr
    (run,) = server.runs.values()
    # The default, in whose place a task takes what the config map says.
    assert run["runtime_config"]["parameters"] == {"registry": "registry"}
    assert "pipeline_root" not in run["runtime_config"]
    assert not (checkout / "runs").exists()


def test_with_everything_configured_the_outputs_are_fetched(server: KubeflowApi, checkout: Path) -> None:
    root = checkout.parent / "root"
    for number in range(100):
        decision = root / "air-quality-training" / f"{number}-run" / "gate" / "5f0c" / "decision"
        decision.parent.mkdir(parents=True)
        decision.write_text("{}")
    configured = {"KFP_PIPELINE_ROOT": str(root), "ALMANAC_REGISTRY": "s3://models/the registry"}
    done = step("On Kubeflow", checkout, {"KFP_HOST": server.host, "KFP_TOKEN": TOKEN, **configured})
    assert done.returncode == 0, done.stderr
    ((identity, run),) = server.runs.items()
    assert run["runtime_config"]["parameters"] == {"registry": "s3://models/the registry"}
    assert run["runtime_config"]["pipeline_root"] == str(root)
    assert (checkout / "runs" / identity / "gate.json").is_file()


def test_a_failed_run_fails_the_step(server: KubeflowApi, checkout: Path) -> None:
    server.run_states = [("FAILED", {"gate": "FAILED"})]
    done = step("On Kubeflow", checkout, {"KFP_HOST": server.host, "KFP_TOKEN": TOKEN})
    assert done.returncode != 0
    assert "ended as FAILED; failed: gate" in done.stderr


def test_without_a_host_the_runner_trains_and_leaves_the_version_to_an_approval(checkout: Path) -> None:
    quick = checkout / "quick.yaml"
    case = yaml.safe_load((ROOT / "usecases/air_quality.yaml").read_text())
    for path, value in QUICK.items():
        *parents, last = path.split(".")
        reduce(dict.__getitem__, parents, case)[last] = yaml.safe_load(value)
    quick.write_text(yaml.safe_dump(case))
    for configured in ("", str(checkout / "elsewhere")):
        more = {"USECASE": str(quick), "ALMANAC_CACHE": str(ROOT / ".cache")}
        done = step("On this runner", checkout, {"ALMANAC_REGISTRY": configured}, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (checkout / "runs/air_quality/latest/governance/index.html").is_file()
        kept = Registry(configured or str(checkout / "registry"))
        assert kept.version("air_quality", 1).number == 1
        assert kept.current("air_quality") is None
