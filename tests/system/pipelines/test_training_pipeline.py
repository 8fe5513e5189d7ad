"""The training pipeline as a user runs it: on the real series, by the command line, with one quick candidate."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
#: Of each group a feature; all of them go the same way in the reference's own run.
FEATURES = (
    "{kind: calendar, group: temporal, fields: [hour]}",
    "{kind: value, group: lagged, columns: [pm25]}",
    "{kind: lag, group: lagged, columns: [pm25], lags: [1h, 24h]}",
    "{kind: rolling, group: rolling, columns: [pm25], windows: [24h], statistics: [mean]}",
    "{kind: value, group: weather, columns: [dewp, temp, pres, iws]}",
    "{kind: categorical, group: weather, columns: [cbwd], encoding: code}",
    "{kind: interaction, group: interactions, name: pm25_over_day, operation: ratio, left: pm25, right: pm25_mean_24h}",
)
QUICK = {
    "features.items": f"[{', '.join(FEATURES)}]",
    "evaluation.repeats": "100",
    "training.candidates": "[{name: ridge, kind: linear, predict: difference, fixed: {alpha: 1000.0}}]",
    "training.choose": "{metric: rmse}",
    "training.budget.trials": "1",
    "gates": "[{rule: beats_baselines, metric: rmse}]",
}


@dataclass(frozen=True)
class Place:
    """A directory of runs and a registry."""

    out: Path
    registry: Path

    def command(self, *arguments: str, **settings: str) -> list[str]:
        pairs = [f"--set={key}={value}" for key, value in {**QUICK, **settings}.items()]
        where = ["--out", str(self.out), "--registry", str(self.registry)]
        return [sys.executable, "pipeline.py", "run", "usecases/air_quality.yaml", *where, *pairs, *arguments]

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        command = self.command(*arguments, **settings)
        return subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False)

    @property
    def latest(self) -> Path:
        return self.out / "air_quality" / "latest"

    def read(self, name: str) -> Any:
        return json.loads((self.latest / name).read_text())


def _environment() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "120"}


def _files(registry: Path) -> dict[str, bytes]:
    """Return the files of a registry by their paths in it."""
    return {str(path.relative_to(registry)): path.read_bytes() for path in registry.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    base = tmp_path_factory.mktemp("e2e")
    yield Place(base / "runs", base / "registry")


@pytest.fixture(scope="module")
def first(place: Place) -> subprocess.CompletedProcess[str]:
    done = place.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_run_leaves_what_its_users_look_for(place: Place, first: subprocess.CompletedProcess[str]) -> None:
    names = ["report.html", "validation.html", "metrics.json", "run.json", "model/manifest.json", "features.parquet"]
    names += ["drift.json", "drift.html", "gate.json", "lineage.json", "inferenceservice.yaml"]
    names += ["governance/model_card.md", "governance/index.html", "governance/modelcard.cdx.json"]
    missing = [name for name in names if not (place.latest / name).exists()]
    assert not missing
    metrics = place.read("metrics.json")
    assert metrics["use_case"] == "air_quality"
    assert {"pm25_1h", "pm25_6h", "pm25_24h"} == metrics["targets"].keys()
    for target in metrics["targets"].values():
        assert target["rmse"] < target["baselines"]["persistence"]["rmse"]
        assert target["coverage"]["nominal"] == 0.9
        assert set(target["coverage"]["bands"]) == {"0-35", "35-75", "75-150", "over 150", "unknown"}
    assert str(place.latest / "report.html") in first.stdout


def test_the_record_lists_every_artifact_with_its_digest(place: Place, first: Any) -> None:
    from almanac.core.files import sha256_file

    record = place.read("run.json")
    assert record["steps"][0]["name"] == "preflight"
    assert {"run_id", "use_case_digest", "git_revision", "libraries"} <= record.keys()
    for name, entry in record["artifacts"].items():
        assert sha256_file(place.latest / name) == entry["sha256"], name


def test_the_documents_of_a_run_verify(place: Place, first: Any) -> None:
    command = [sys.executable, "-m", "governance", "verify", str(place.latest), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["not_checked"] == []


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("pipeline.py schema", '"title": "UseCase"'),
        ("-m governance registry list", "registry:air_quality/1"),
        ("-m governance registry log air_quality", "promoted"),
        ("-m governance verify runs/air_quality/latest", "verified: runs/air_quality/latest"),
        ("pipeline.py predict usecases/air_quality.yaml --start 2014-12-31", "batch/latest/predictions.parquet"),
        ("pipeline.py monitor usecases/air_quality.yaml", "monitoring/latest/report.html"),
    ],
)
def test_the_commands_of_the_readme_work_on_a_run(place: Place, first: Any, command: str, word: str) -> None:
    folder = place.out.parent
    if not (folder / "usecases").exists():
        (folder / "usecases").symlink_to(ROOT / "usecases")
        (folder / "pipeline.py").symlink_to(ROOT / "pipeline.py")
    environment = {**_environment(), "PYTHONPATH": str(ROOT), "ALMANAC_CACHE": str(ROOT / ".cache")}
    program = [sys.executable, *command.split()]
    done = subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in ((0, 3) if "monitor" in command else (0,)), done.stderr
    assert word in done.stdout


def test_a_second_run_finds_its_steps_done(place: Place, first: Any) -> None:
    before = place.read("run.json")
    done = place.run("--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    steps = {step["name"]: step["cached"] for step in record["steps"]}
    slow = ("ingestion", "validation", "preprocessing", "training", "evaluation", "registration", "documentation")
    assert all(steps[name] for name in slow), steps
    assert record["run_id"] != before["run_id"]


def test_a_version_judged_beside_another_verifies(tmp_path: Path, place: Place, first: Any) -> None:
    later = Place(tmp_path / "runs", tmp_path / "registry")
    shutil.copytree(place.registry, later.registry)
    candidate = "[{name: ridge, kind: linear, predict: difference, fixed: {alpha: 900.0}}]"
    gates = "[{rule: not_worse_than_registered, metric: rmse, tolerance: 0.1}]"
    done = later.run(**{"training.candidates": candidate}, gates=gates)
    assert done.returncode == 0, done.stdout + done.stderr
    assert later.read("gate.json")["registered"]["version"] == 1
    command = [sys.executable, "-m", "governance", "verify", str(later.latest), "--registry", str(later.registry)]
    done = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    step = next(step for step in json.loads(done.stdout)["steps"] if step["name"] == "gate")
    assert (step["count"] > 0, step["note"]) == (True, ""), "the registered model predicted again"


def test_a_closed_gate_registers_nothing_and_says_by_how_much(place: Place, first: Any) -> None:
    before = _files(place.registry)
    done = place.run(gates="[{rule: max_error, target: pm25_1h, metric: rmse, value: 1.0}]")
    assert done.returncode == 3
    assert "The gate is closed" in done.stderr
    assert "pm25_1h" in done.stderr
    assert place.read("gate.json")["passed"] is False
    after = _files(place.registry)
    # The use case, which its tasks read there, and no version that has it.
    identity = place.read("run.json")["use_case_digest"]
    assert after.keys() - before.keys() == {f"blobs/{identity[:2]}/{identity}"}
    assert {name: after[name] for name in before} == before


def test_the_dask_engine_goes_the_same_way_to_production(tmp_path: Path, place: Place, first: Any) -> None:
    trees = "{name: trees, kind: lightgbm, predict: difference, fixed: {n_estimators: 60, num_leaves: 8}}"
    distributed = Place(tmp_path / "runs", tmp_path / "registry")
    settings = {"training.engine": "dask", "training.candidates": f"[{trees}]", "training.dask.partition": "10007"}
    done = distributed.run(**settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert distributed.read("gate.json")["passed"] is True
    assert distributed.read("tuning.json")["engine"] == {"name": "dask", "workers": 2}
    ours, theirs = (each.read("run.json")["artifacts"]["features.parquet"]["sha256"] for each in (distributed, place))
    assert ours == theirs
    assert (distributed.latest / "governance" / "model_card.md").exists()
    verify = [sys.executable, "-m", "governance", "verify", str(distributed.latest)]
    assert subprocess.run(verify, cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_a_kill_in_the_middle_loses_nothing_and_a_training_of_its_own_gives_the_same_model(
    tmp_path: Path, place: Place, first: Any
) -> None:
    killed = Place(tmp_path / "runs", tmp_path / "registry")
    process = subprocess.Popen(
        killed.command(), cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "preprocessing" in line:
            break
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not killed.latest.exists()
    done = killed.run("--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    steps = {step["name"]: step["cached"] for step in record["steps"]}
    assert steps["ingestion"]
    assert steps["validation"]
    assert steps["preprocessing"]
    assert not steps["training"]
    earliest = min(place.latest.parent.glob("20*"))
    manifests = [directory / "model" / "manifest.json" for directory in (killed.latest, earliest)]
    assert manifests[0].read_bytes() == manifests[1].read_bytes()


def test_a_missing_column_stops_the_run_and_is_named(place: Place, first: Any) -> None:
    done = place.run(**{"sources.beijing_pm.read.rename": "{pm2.5: pm25, DEWP: dewp, TEMP: temp}"})
    assert done.returncode == 1
    assert "PRES" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupt_ends_quietly(tmp_path: Path) -> None:
    command = Place(tmp_path / "runs", tmp_path / "registry").command()
    process = subprocess.Popen(
        command, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on from the last finished step" in errors
    assert "Traceback" not in errors
