"""A small real pipeline, run by kfp's SubprocessRunner: caching by content, failures, resumption."""

import io
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from almanac.core.errors import DocumentError, PipelineError
from almanac.core.image import IMAGE
from almanac.usecase import load
from orchestration.cache import ContentCache
from orchestration.console import RunLog, Screen
from orchestration.local import run_local
from orchestration.local_run import LocalRun, RunOptions
from orchestration.run import Request, run_training
from orchestration.statements_check import check_draft, check_governance

ROOT = Path(__file__).resolve().parents[3]


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def writing(path: str, table: dsl.Output[dsl.Dataset]) -> None:
    from pathlib import Path

    from almanac.core.progress import summary

    text = Path(path).read_text()
    Path(table.path).write_text(text)
    summary("a text", rows=len(text.splitlines()))


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def counting(table: dsl.Input[dsl.Dataset]) -> int:
    from pathlib import Path

    from almanac.core.errors import TableError

    lines = Path(table.path).read_text().splitlines()
    if not lines:
        raise TableError("table: no rows;\nat least one is needed")
    return len(lines)


@dsl.pipeline(name="toy")
def toy(path: str) -> None:
    written = writing(path=path)
    written.set_caching_options(False)
    counting(table=written.outputs["table"])


def _run(tmp_path: Path, text: str, number: int) -> tuple[LocalRun, str]:
    source = tmp_path / "source.txt"
    source.write_text(text)
    screen = io.StringIO()
    arguments: dict[str, Any] = {"path": str(source)}
    place = RunOptions(tmp_path / f"work{number}", tmp_path / "cache", never_cached=frozenset({"writing"}))
    run = run_local(toy, arguments, place, Screen(screen))
    return run, screen.getvalue()


def test_a_step_whose_input_has_the_same_content_is_not_run_again(tmp_path: Path) -> None:
    first, shown = _run(tmp_path, "a\nb\n", 1)
    assert [(step.name, step.cached) for step in first.steps] == [("writing", False), ("counting", False)]
    assert first.outputs["counting"]["Output"] == 2
    assert "2 rows  a text" in shown
    second, _ = _run(tmp_path, "a\nb\n", 2)
    assert [(step.name, step.cached) for step in second.steps] == [("writing", False), ("counting", True)]
    third, _ = _run(tmp_path, "a\nb\nc\n", 3)
    assert [step.cached for step in third.steps] == [False, False]
    assert third.outputs["counting"]["Output"] == 3


def test_a_failed_step_tells_its_whole_message_and_stops_the_run(tmp_path: Path) -> None:
    run, shown = _run(tmp_path, "", 1)
    assert run.error == "table: no rows;\nat least one is needed"
    assert run.steps[-1].failed
    assert "failed" in shown


def test_the_message_of_a_failed_step_is_kept_while_others_run(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.txt", lambda step: None, lambda name, progress: None)
    for line in (
        "10:00:00 - INFO - Executing task 'training'",
        "    almanac.core.errors.TrainingError: folds: too short",
        "10:00:01 - INFO - Task 'training' finished with status FAILURE",
        "10:00:01 - INFO - Executing task 'drift'",
        "    [summary] 720 rows; quiet",
        "10:00:02 - INFO - Task 'drift' finished with status SUCCESS",
    ):
        log.write(f"{line}\n")
    log.close()
    assert log.error == "folds: too short"
    assert [(step.name, step.failed) for step in log.steps] == [("training", True), ("drift", False)]


def test_an_artifact_that_is_metadata_alone_is_found_again(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path / "cache")
    metrics = dsl.Metrics(name="metrics", uri=str(tmp_path / "work" / "training" / "metrics"), metadata={"rmse": 1.5})
    key = cache.compute_key("comp-writing", "image", ["command"], {})
    cache.put(key, {"metrics": metrics})
    found = cache.get(key)
    assert found is not None
    assert found["metrics"].metadata == {"rmse": 1.5}


@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_a_damaged_output_is_never_taken_from_the_cache(tmp_path: Path, damage: str) -> None:
    cache = ContentCache(tmp_path / "cache")
    path = tmp_path / "table"
    path.write_text("whole")
    artifact = dsl.Dataset(name="table", uri=str(path))
    key = cache.compute_key("comp-writing", "image", ["command"], {"table": artifact})
    cache.put(key, {"table": artifact})
    assert cache.get(key) is not None
    if damage == "truncate":
        path.write_text("who")
    else:
        path.unlink()
    assert cache.get(key) is None


def test_what_is_gone_from_the_registry_is_not_taken_for_done(tmp_path: Path) -> None:
    state = {"value": ""}
    cache = ContentCache(tmp_path, lambda component, url: state["value"], settled=("registration",))

    def key(name: str) -> str:
        return str(cache.compute_key(f"comp-{name}", IMAGE, [], {"registry": "registry"}))

    assert key("registration") != key("registration")
    assert key("gate") == key("gate")
    state["value"] = "an event"
    assert key("registration") == key("registration")


def test_missing_facts_are_told_before_anything_is_run(tmp_path: Path) -> None:
    path = ROOT / "usecases" / "air_quality.yaml"
    case = load(path)
    statements = {key: value for key, value in case.governance.statements.items() if key != "caveats"}
    governance = case.governance.model_copy(update={"statements": statements, "risk": {}})
    draft = case.model_copy(update={"governance": governance})
    with pytest.raises(DocumentError) as caught:
        check_governance(draft)
    assert "governance.statements.caveats: is missing; it has to say" in str(caught.value)
    assert "governance.risk.annex_iii_area: is missing" in str(caught.value)
    assert "Expected one of none, biometrics" in str(caught.value)
    assert len(check_draft(draft)) == 1 + 12


def test_wrong_facts_are_told_before_anything_is_run(tmp_path: Path) -> None:
    path = ROOT / "usecases" / "air_quality.yaml"
    case = load(path)
    governance = case.governance.model_copy(update={"risk": {**case.governance.risk, "severity": "awful"}})
    request = Request(case.model_copy(update={"governance": governance}), path, tmp_path, str(tmp_path / "registry"))
    with pytest.raises(DocumentError, match=r"governance\.risk\.severity: 'awful' is no answer"):
        run_training(request, lambda **_: None, Screen(io.StringIO()))
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = ROOT / "usecases" / "air_quality.yaml"
    (tmp_path / "file").write_text("in the way")
    request = Request(load(path), path, tmp_path / "file", str(tmp_path / "registry"))
    with pytest.raises(PipelineError, match=r"--out .*file: cannot be written to"):
        run_training(request, lambda **_: None, Screen(io.StringIO()))
