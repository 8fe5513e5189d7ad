"""The workflows held against the Makefile, the file tree and the rules of safe workflows."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
#: Commands of steps that are no make targets; programs of the runner or of an action before.
OTHER = re.compile(
    r"^(sudo --preserve-env=PATH,GH_TOKEN \.ci/run --without-containers$|"
    r"gh (issue create|workflow enable|release create) |cosign sign |brew install libomp$)"
)


def read(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.BaseLoader)
    return loaded


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in read(path)["jobs"].values() for step in job.get("steps", [])]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def test_the_workflows_are_the_six_that_are_documented() -> None:
    assert [path.stem for path in WORKFLOWS] == ["approve", "ci", "deploy", "images", "release", "retrain"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_command_is_a_make_target_or_a_known_program(path: Path) -> None:
    for step in steps(path):
        for line in (step.get("run") or "").strip().splitlines():
            command = line.strip()
            if command.startswith("make "):
                assert command.split()[1] in targets(), command
            else:
                assert OTHER.match(command), command


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_permissions_are_given_job_by_job_and_runs_do_not_overlap(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    assert "group" in workflow["concurrency"]
    for name, job in workflow["jobs"].items():
        assert "permissions" in job, name
        if "uses" not in job:
            assert int(job["timeout-minutes"]) <= 360, name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_and_their_version_is_told(path: Path) -> None:
    for line in path.read_text().splitlines():
        if (match := re.search(r"uses: (\S+)(.*)", line)) and not match[1].startswith("./"):
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", match[1]), line
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", match[2]), line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_files_that_a_workflow_names_are_there(path: Path) -> None:
    text = path.read_text()
    named = re.findall(r"(?<![\w/.])((?:\.ci|\.github|compiled|components|serving|usecases)/[\w./*-]+)", text)
    for name in named:
        assert list(ROOT.glob(name)), f"{path.name}: {name}"
    for step in steps(path):
        if "build-push-action" in step.get("uses", ""):
            for entry in read(path)["jobs"]["build"]["strategy"]["matrix"]["include"]:
                assert (ROOT / entry["folder"] / "Dockerfile").exists()


def test_the_retrain_asks_and_never_promotes() -> None:
    workflow = read(ROOT / ".github/workflows/retrain.yml")
    assert workflow["on"]["schedule"] == [{"cron": "0 3 1 * *"}]
    assert "workflow_dispatch" in workflow["on"]
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert not [one for one in commands if re.match(r"\s*(python|make|almanac) .*(promote|deploy)", one)]
    assert any(one.startswith("gh issue create") for one in commands)
    assert workflow["jobs"]["keep-alive"]["steps"][-1]["run"] == "gh workflow enable retrain.yml"
    assert workflow["jobs"]["ask"]["needs"] == "train"
    # A month without a new model must not pass unseen.
    assert (workflow["jobs"]["tell"]["needs"], workflow["jobs"]["tell"]["if"]) == ("train", "failure()")
    assert workflow["jobs"]["tell"]["steps"][-1]["run"].startswith("gh issue create")


def test_an_approval_is_by_a_reviewer_and_promotes_nothing(tmp_path: Path) -> None:
    (job,) = read(ROOT / ".github/workflows/approve.yml")["jobs"].values()
    assert job["environment"] == "approval"
    assert job["permissions"]["actions"] == "read", "who reviewed the run is asked of GitHub"
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make approve"]
    recipe = (ROOT / "Makefile").read_text().split("\napprove:")[1].split("\n\n")[0]
    assert "registry approve" in recipe
    assert "--via github" in recipe
    assert "promote" not in recipe
    given = {"GITHUB_KEY": "a key", "REGISTRY": str(tmp_path / "registry"), "APPROVED": "demo/1", "WHY": "read $(it)"}

    def approve(**variables: str) -> str:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GITHUB_")} | variables
        command = ["make", "-s", "-o", ".venv/.components", "approve"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode != 0
        return done.stderr

    assert "ALMANAC_GITHUB_KEY_PEM is not set" in approve(**given | {"GITHUB_KEY": ""})
    assert "ALMANAC_GITHUB_KEY_PEM is not set" in approve(APPROVED="demo/1", WHY="good")
    assert "--via github: GITHUB_REPOSITORY is not set" in approve(**given)


def test_a_release_is_published_once_the_images_that_it_names_are_there() -> None:
    jobs = read(ROOT / ".github/workflows/release.yml")["jobs"]
    assert jobs["images"]["uses"] == "./.github/workflows/images.yml"
    assert (jobs["images"]["needs"], jobs["release"]["needs"]) == ("checks", "images")
    images = read(ROOT / ".github/workflows/images.yml")
    assert set(images["on"]) == {"workflow_call", "workflow_dispatch"}
    assert jobs["images"]["permissions"] == images["jobs"]["build"]["permissions"]


def test_the_monthly_retrain_is_when_the_use_case_says() -> None:
    from almanac.usecase import load

    seconds, *rest = load(ROOT / "usecases/air_quality.yaml").schedule.retrain.split()
    assert seconds == "0"
    assert read(ROOT / ".github/workflows/retrain.yml")["on"]["schedule"][0]["cron"] == " ".join(rest)


def test_ci_finds_out_whether_there_is_an_engine_for_the_containers_tier() -> None:
    def engine(**variables: str) -> int:
        command = ["make", "-s", "engine", *(f"{name}={value}" for name, value in variables.items())]
        return subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60).returncode

    assert engine(DOCKER="true") == 0
    assert engine(DOCKER="false", ENGINE="/nowhere/up") != 0
    assert engine(DOCKER="false", ENGINE="/bin/true") == 0


def test_nothing_in_ci_may_wait_for_ever() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=False).returncode == 0
    long = re.findall(r"^.*make (?:-s )?(test-containers|test-cluster|test|engine)\b.*$", script, flags=re.MULTILINE)
    assert long == ["test", "test-cluster", "engine", "test-containers"]
    minutes = [int(found) for found in re.findall(r"within (\d+)m make", script)]
    assert len(minutes) == len(long)
    assert sum(minutes) <= 75


def test_dependabot_looks_where_dependencies_are() -> None:
    updates = read(ROOT / ".github/dependabot.yml")["updates"]
    assert {one["package-ecosystem"] for one in updates} == {"pip", "github-actions", "docker", "docker-compose"}
    docker = next(one for one in updates if one["package-ecosystem"] == "docker")
    assert all((ROOT / folder.lstrip("/") / "Dockerfile").exists() for folder in docker["directories"])


def test_the_hooks_run_programs_of_this_environment() -> None:
    (repository,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    for hook in repository["hooks"]:
        program = Path(hook["entry"].split()[0])
        assert program.parent == Path(".venv/bin"), hook["id"]
        assert shutil.which(Path(sys.executable).parent / program.name), hook["id"]


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not installed")
def test_actionlint_is_clean() -> None:
    done = subprocess.run(["actionlint", *map(str, WORKFLOWS)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_zizmor_is_clean() -> None:
    # With a token it asks GitHub, too, whether each action has the commit that it is pinned to, and its version.
    network = [] if os.environ.get("GH_TOKEN") else ["--offline"]
    command = [str(Path(sys.executable).parent / "zizmor"), *network, "--quiet", ".github"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
