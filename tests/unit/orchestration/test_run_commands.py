"""Commands on runs: list, compare, open; and those on statements."""

import re
import webbrowser
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from almanac.core.errors import PipelineError, UseCaseError
from almanac.core.files import write_json
from almanac.usecase import load
from orchestration.commands.app import app

CASE = """# A comment that stays.
name: demo
time: {frequency: 1h}
sources: [{name: t, type: file, path: t.csv}]
targets: [{column: load}]  # and this one
"""


def call(*words: str | Path, text: str = "") -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=text)


def make(out: Path, run: str, error: float, **more: Any) -> Path:
    """Write a run whose forecasts are too high by `error`."""
    folder = out / "demo" / run
    folder.mkdir(parents=True)
    y = np.arange(12.0)
    columns = {"timestamp": [datetime(2014, 1, 1, hour) for hour in range(12)], "target": ["load_1h"] * 12, "y": y}
    pl.DataFrame(columns | {"prediction": y + error, "lower": y, "upper": y + 1}).write_parquet(
        folder / "predictions.parquet"
    )
    headline = {"baseline": "persistence", "skill": 0.25}
    entry = {"task": "regression", "rmse": error, "n": 12, "headline": headline, "ci": {"rmse": [error / 2, error]}}
    write_json(folder / "metrics.json", {"use_case": "demo", "targets": {"load_1h": entry}})
    write_json(folder / "gate.json", {"passed": True})
    record = {"use_case": "demo", "started_at": f"2026-01-0{error:.0f}T00:00:00", "steps": [{"seconds": 2.0}]}
    write_json(folder / "run.json", record | more)
    parameters = {"trees": {"num_leaves": 10 * error}}
    write_json(folder / "tuning.json", {"targets": {"load_1h": {"chosen": "trees", "parameters": parameters}}})
    (folder / "report.html").write_text("<title>report</title>")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        make(tmp_path, f"run-{number}", float(number))
    (tmp_path / "demo" / "latest").symlink_to("run-3")
    return tmp_path


def test_runs_are_listed_with_the_newest_first(out: Path) -> None:
    lines = call("runs", "--out", out).output.splitlines()
    assert [line.split()[1] for line in lines[::2]] == ["run-3", "run-2", "run-1"]
    assert lines[1].split() == "load_1h rmse 3.00 , skill 25.0% against persistence".replace(" ,", ",").split()
    assert "gate open, not registered" in lines[0]
    assert call("runs", "other", "--out", out).output.startswith("no run below")


def test_three_runs_are_compared_on_the_rows_of_all(out: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = call("compare", "run-1", "run-2", "demo", "--out", out, "--page", page)
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: line.split()[1:] for line in done.output.splitlines() if line.startswith("  rmse")}
    assert lines["rmse"] == ["1", "2", "3", "+1", "+2"]
    assert "load_1h: trees.num_leaves" in done.output
    html = page.read_text()
    assert html.count("<svg") == 2 and "load_1h: 12 rows" in html


def test_one_run_is_wrong_usage_and_an_unknown_one_an_error(out: Path) -> None:
    assert call("compare", "run-1", "--out", out).exit_code == 2
    done = call("compare", "run-1", "run-9", "--out", out)
    assert isinstance(done.exception, PipelineError)
    assert "run-9: there is no such run; expected a run directory" in str(done.exception)


def test_open_shows_the_report_in_the_browser(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def remember(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", remember)
    done = call("open", "demo", "--out", out)
    report = (out / "demo" / "latest" / "report.html").absolute()
    assert (done.exit_code, done.output.strip(), opened) == (0, str(report), [report.as_uri()])
    assert isinstance(call("open", "demo", "--out", out, "--page", "drift").exception, PipelineError)
    assert call("open", "demo", "--out", out, "--page", "cards").exit_code == 2
    assert len(opened) == 1


def test_version_and_completion() -> None:
    assert call("--version").output.startswith("almanac ")
    environment = {"_ALMANAC_COMPLETE": "complete_bash", "COMP_WORDS": "almanac comp", "COMP_CWORD": "1"}
    done = CliRunner().invoke(app, [], env=environment, prog_name="almanac")
    assert done.output.split() == ["compare", "compile"]


def test_statements_are_asked_one_by_one_and_the_rest_of_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(CASE)
    done = call("statements", path, "--author", "Ann", text="Team Ann\nann@acme.com\nfalse\nperhaps\nfalse\n")
    assert done.exit_code == 0, done.output
    assert "4 of 42 stated, a draft" in done.output
    assert path.read_text().startswith(CASE)
    governance = load(path).governance
    assert (governance.owner, governance.contact) == ("Team Ann", "ann@acme.com")
    assert governance.risk == {"prohibited_practice": False, "safety_component": False}


def test_a_form_is_written_filled_in_and_read(tmp_path: Path) -> None:
    path, form = tmp_path / "demo.yaml", tmp_path / "form.yaml"
    path.write_text(CASE + "governance: {owner: Ann}\nschedule: {retrain: 0 0 4 1 * *}\n")
    assert "a form of 41 fields" in call("statements", path, "--form", form).output
    text = form.read_text()
    assert "# It has to say what the forecasts are for, and for which decisions." in text
    text = text.replace('intended_use: {text: "", author: ""', 'intended_use: {text: Plan the load, author: "Ann"')
    form.write_text(text.replace("severity: not stated", "severity: limited"))
    assert "2 of 41 stated" in call("statements", path, "--from", form).output
    case = load(path)
    assert case.governance.statements["intended_use"].date == date.today()
    assert (case.governance.owner, case.governance.risk, case.schedule.retrain) == (
        "Ann",
        {"severity": "limited"},
        "0 0 4 1 * *",
    )


def test_a_wrong_answer_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path, form = tmp_path / "demo.yaml", tmp_path / "form.yaml"
    path.write_text(CASE)
    form.write_text("contact: nowhere\n")
    assert isinstance(call("statements", path, "--from", form).exception, UseCaseError)
    assert path.read_text() == CASE
    form.write_text("- a list\n")
    assert isinstance(call("statements", path, "--from", form).exception, UseCaseError)


def test_check_prints_defaults_and_figures(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(CASE)
    done = call("check", path, "--explain")
    assert done.exit_code == 0, done.output
    assert "split: {" in done.output and "test: last 60d" in done.output
    assert "a draft; not stated are" in done.output
    assert re.search(r"features +\d+, which look back 56d$", done.output, re.MULTILINE)
    path.write_text(CASE + "features: {items: [{kind: value, group: a, columns: [lod]}]}\n")
    done = call("check", path)
    assert isinstance(done.exception, UseCaseError)
    assert "lod" in str(done.exception)


def test_check_with_data_names_a_split_outside_them_and_folds_that_are_too_long(tmp_path: Path) -> None:
    times = [datetime(2020, 1, 1 + day, hour) for day in range(30) for hour in range(24)]
    pl.DataFrame({"timestamp": times, "load": [float(k % 24) for k in range(720)]}).write_csv(tmp_path / "t.csv")
    path = tmp_path / "demo.yaml"
    path.write_text(CASE + "split: {test: last 60d}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALMANAC_CACHE", str(tmp_path / "cache"))
        done = call("check", path, "--data")
        assert "the training span lies outside the data; the data go from 2020-01-01 00:00:00" in str(done.exception)
        path.write_text(CASE + "split: {test: last 5d}\nevaluation: {block: 1d}\ntraining: {folds: {length: 10d}}\n")
        assert "training.folds: 3 folds of 10d take" in str(call("check", path, "--data").exception)
        path.write_text(CASE + "split: {test: last 5d}\nevaluation: {block: 1d}\n")
        done = call("check", path, "--data")
    assert done.exit_code == 0, done.output
    assert "599 rows to learn from, 120 to test on" in done.output.replace("600", "599")
