"""Processes that wait for tasks: what reaches a task, and what is left of a process that no task came for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kfp.local import subprocess_task_handler

from almanac.core.files import read_json
from almanac.usecase import load
from almanac.usecase.packed import VARIABLE, label, pack
from orchestration.code_digest import ROOT
from orchestration.standby import Standby


def _configuration(compiled: str, out: Path) -> list[str]:
    """Return the command of the component configuration, as kfp starts it."""
    given = {"compiled": compiled, "overrides": "", "registry": "", "environment": ""}
    written = {"name": "usecase", "uri": str(out / "usecase"), "type": {"schemaTitle": "system.Artifact"}}
    task = {
        "inputs": {"parameterValues": given},
        "outputs": {"artifacts": {"usecase": {"artifacts": [written]}}, "outputFile": str(out / "output.json")},
    }
    command = [sys.executable, "-m", "components", "kfp.dsl.executor_main", "--function_to_execute", "configuration"]
    return [*command, "--executor_input", json.dumps(task)]


@pytest.fixture(autouse=True)
def _from_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_a_waiting_process_runs_the_task_as_a_new_one_does(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = load(ROOT / "usecases" / "air_quality.yaml")
    monkeypatch.delenv(VARIABLE, raising=False)
    standby = Standby(lambda: True)
    with standby.installed():
        assert subprocess_task_handler.run_local_subprocess == standby.run
        codes = [
            standby.run(_configuration(label(case), tmp_path / name), {VARIABLE: pack(case)})
            for name in ("first", "second")
        ]
        waiting = standby._next
    assert codes == [0, 0]
    assert "[summary] air_quality, digest" in capfd.readouterr().out
    first, second = ((tmp_path / name / "usecase").read_bytes() for name in ("first", "second"))
    assert first == second and json.loads(first)["name"] == "air_quality"
    assert read_json(tmp_path / "second" / "output.json")["artifacts"]
    # The variable belonged to the tasks, and the process that waits has ended.
    assert VARIABLE not in os.environ
    assert waiting is not None and waiting.returncode is not None
    assert subprocess_task_handler.run_local_subprocess != standby.run


def test_a_failed_task_tells_its_error_and_its_code(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    standby = Standby(lambda: False)
    with standby.installed():
        assert standby.run(_configuration("another", tmp_path), {VARIABLE: "damaged"}) == 1
        assert standby._next is None
    assert "almanac.core.errors.UseCaseError: ALMANAC_USE_CASE: is not a packed use case" in capfd.readouterr().out


def test_a_process_whose_run_has_ended_ends_without_a_word() -> None:
    waiting = [sys.executable, "-m", "components", "--wait"]
    done = subprocess.run(waiting, cwd=ROOT, input="", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_program_that_is_no_component_starts_as_before(capfd: pytest.CaptureFixture[str]) -> None:
    standby = Standby(lambda: True)
    with standby.installed():
        assert standby.run([sys.executable, "-c", "print('toy')"]) == 0
        assert standby._next is None
    assert "toy" in capfd.readouterr().out
