"""Rows, units and clocks that documents state beside their figures, for use cases of every shape."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from almanac.core.files import read_json, sha256_file, write_json
from almanac.usecase import dump
from almanac.usecase.calendar_section import OpenCalendar
from governance.documents.artifacts import Artifacts, run_files
from governance.documents.bundle import write_documents
from governance.documents.layout import USECASE
from governance.documents.plots import plots
from tests.support.governance_world import World

#: Figures of a probability, as an evaluation states them.
PROBABILITY: dict[str, Any] = {
    "horizon": "1h",
    "task": "classification",
    "column": "pm25",
    "unit": "µg/m³",
    "model": "blend",
    "n": 8000,
    "log_loss": 0.684,
    "brier": 0.245,
    "auc": 0.57,
    "bias": 0.004,
    "ci": {"log_loss": [0.68, 0.688], "brier": [0.243, 0.248]},
    "baselines": {"mean": {"log_loss": 0.692, "brier": 0.249, "n": 8000, "model": {"log_loss": 0.684}}},
    "skill": {"mean": {"log_loss": 0.0116, "ci": [0.005, 0.017]}},
    "headline": {
        "baseline": "mean",
        "metric": "log_loss",
        "n": 8000,
        "model": 0.684,
        "error": 0.692,
        "skill": 0.0116,
        "ci": [0.005, 0.017],
    },
    "slices": {
        "weekend": {
            name: {"n": 4000, "log_loss": error, "brier": 0.245, "bias": 0.004, "ci": {"log_loss": None, "brier": None}}
            for name, error in (("weekday", 0.682), ("weekend", 0.686))
        }
    },
    "fewest_rows": 30,
    "confidence": 0.95,
    "disparity": {"weekend": {"log_loss": {"difference": 0.004, "ratio": 1.02, "worst": "weekend", "best": "weekday"}}},
}


@pytest.fixture
def folder(world: World) -> Path:
    return world.run / "governance"


def front_matter(card: str) -> Any:
    return yaml.safe_load(card.split("---\n")[1])


def texts_of(world: World, tmp_path: Path, change: Callable[[Any, Any, Any], None]) -> dict[str, str]:
    usecase, metrics = json.loads(dump(world.usecase)), read_json(world.run / "metrics.json")
    lineage = read_json(world.run / "lineage.json")
    change(usecase, metrics, lineage)
    files = run_files(world.run)
    for name, value in (("metrics.json", metrics), ("lineage.json", lineage)):
        files[name] = tmp_path / name
        write_json(files[name], value)
    folder = tmp_path / "governance"
    write_documents(files, json.dumps(usecase), read_json(world.run / "registration.json"), folder)
    return {path.name: path.read_text() for path in folder.glob("*.md")}


def test_level_rows_and_unit_stand_beside_the_figures(world: World, folder: Path) -> None:
    card, metrics = (folder / "model_card.md").read_text(), read_json(world.run / "metrics.json")["targets"]
    assert "Intervals of the figures are 95 % moving-block bootstrap intervals" in card
    assert "pm25_1h (µg/m³) by season:" in card
    for name, target in metrics.items():
        for baseline, skill in target["skill"].items():
            ours = target["baselines"][baseline]
            row = f"| {name} | {baseline} | rmse | {ours['rmse']:.2f} | {ours['model']['rmse']:.2f} | {ours['n']:,} |"
            assert f"{row} {skill['rmse']:.1%} |".replace("%", " %") in card


def test_both_digests_of_the_use_case_are_told_apart(world: World, folder: Path) -> None:
    whole, trained = sha256_file(folder / "usecase.json"), read_json(world.run / "model/manifest.json")
    for name in ("model_card.md", "audit_checklist.md", "annex_iv.md"):
        text = (folder / name).read_text()
        assert f"| Use case digest | `{whole}` |" in text
        assert f"| of what training reads of it | `{trained['use_case_digest']}` |" in text


def test_all_tables_of_disparities_are_one_and_say_what_a_bias_compares(folder: Path) -> None:
    head = "| target | group | figure | worst | best | difference | ratio |"
    tables = set()
    for name in ("model_card.md", "risk_assessment.md", "annex_iv.md"):
        text = (folder / name).read_text()
        tables.add(text[text.index(head) : text.index("A difference is that of the worst")])
        assert "Biases differ by the largest less the smallest" in text
    assert len(tables) == 1


def test_a_probability_has_three_digits_everywhere(world: World, tmp_path: Path) -> None:
    def classify(usecase: Any, metrics: Any, lineage: Any) -> None:
        metrics["targets"]["pm25_1h"] = PROBABILITY

    card = texts_of(world, tmp_path, classify)["model_card.md"]
    assert card.count("| pm25_1h | mean | log_loss | 0.692 | 0.684 | 8,000 | 1.2 % | 0.5 % to 1.7 % |") == 2
    assert "| pm25_1h | weekend | log_loss | weekend | weekday | 0.004 | 1.02 |" in card
    assert "pm25_1h by weekend:" in card
    assert front_matter(card)["metrics"] == ["rmse", "mae", "log_loss", "brier"]


def test_plots_show_probabilities_too_and_three_targets_in_a_row(world: World, tmp_path: Path) -> None:
    metrics = read_json(world.run / "metrics.json")
    value = metrics["targets"]["pm25_1h"]
    metrics["targets"] = {"likely": PROBABILITY, **{f"load_{hour}h": value for hour in range(1, 9)}}
    write_json(tmp_path / "metrics.json", metrics)
    files = run_files(world.run) | {"metrics.json": tmp_path / "metrics.json", USECASE: world.run / USECASE}
    (errors, _), (coverage, _), (groups, _), (weeks, _) = plots(Artifacts(files))
    assert [axis.get_title(loc="left") for axis in errors.axes] == list(metrics["targets"])
    assert [axis.get_ylabel() for axis in errors.axes] == ["log loss", *["RMSE (µg/m³)"] * 8]
    assert len({axis.get_position().y0 for axis in errors.axes}) == 3
    assert [len(figure.axes) for figure in (coverage, weeks)] == [8, 8], "a probability has no interval and no unit"
    markers = [(line.get_marker(), line.get_color()) for line in groups.axes[0].lines if line.get_marker() != "None"]
    assert len(set(markers)) == 9
    # Names of baselines are longer than the bars are wide.
    assert {label.get_rotation() for axis in errors.axes for label in axis.get_xticklabels()} == {90.0}


def test_a_use_case_with_a_zone_says_so(world: World, tmp_path: Path) -> None:
    texts = texts_of(world, tmp_path, lambda usecase, _, __: usecase["time"].update(zone="Asia/Shanghai"))
    assert "hours and days of the calendar are of Asia/Shanghai" in texts["data_card.md"]
    assert "at which its forecast is made, by the clocks of Asia/Shanghai." in texts["model_card.md"]


def test_times_without_a_calendar_are_no_dates(world: World, tmp_path: Path) -> None:
    texts = texts_of(world, tmp_path, lambda usecase, _, __: usecase["time"].update(origin="2010-01-01"))
    for name in ("data_card.md", "model_card.md"):
        assert "Its times are counted from 2010-01-01 and have no calendar" in texts[name]


def test_steps_on_open_days_are_said_to_be(world: World, tmp_path: Path) -> None:
    calendar = OpenCalendar(country="DE", subdivision="BY", weekdays=["mon", "sat"]).model_dump(mode="json")
    texts = texts_of(world, tmp_path, lambda usecase, _, __: usecase["time"].update(calendar=calendar))
    for name in ("data_card.md", "model_card.md"):
        assert "steps are counted on open days alone, those of DE-BY on mon, sat." in texts[name]
    assert "on a complete grid of open days" in texts["data_card.md"]
    assert "- pm25_1h: pm25, 1h ahead in open days" in texts["data_card.md"]


def test_events_are_on_no_grid_and_are_forecast_before_they_happen(world: World, tmp_path: Path) -> None:
    def events(usecase: Any, metrics: Any, lineage: Any) -> None:
        usecase["events"] = {"of": "games"}
        usecase["evaluation"]["groups"] = []
        usecase["targets"][1]["task"] = "classification"
        lineage["sources"].append(lineage["sources"][0] | {"name": "second"})

    texts = texts_of(world, tmp_path, events)
    assert "grid" not in texts["data_card.md"]
    assert "- pm25_1h: pm25, of the event, known 1h after it" in texts["data_card.md"]
    assert "Figures are given by bands of the last known value" in texts["model_card.md"]
    card = read_json(tmp_path / "governance" / "modelcard.cdx.json")["metadata"]["component"]["modelCard"]
    assert [output["format"] for output in card["modelParameters"]["outputs"]][:2] == [
        "pm25_1h: number, of the event, known 1h after it",
        "pm25_6h: probability, of the event, known 6h after it",
    ]
    # The rows that were judged are of no single source.
    results = front_matter(texts["model_card.md"])["model-index"][0]["results"]
    assert {result["dataset"]["type"] for result in results} == {"air_quality"}


def test_groups_of_events_are_of_the_moment_of_the_event(world: World, tmp_path: Path) -> None:
    texts = texts_of(world, tmp_path, lambda usecase, _, __: usecase.update(events={"of": "games"}))
    assert "A row is in the groups of the moment of its event." in texts["model_card.md"]


def test_a_window_without_a_season_is_compared_with_the_whole_reference(world: World, tmp_path: Path) -> None:
    texts = texts_of(world, tmp_path, lambda usecase, _, __: usecase["drift"].update(season="none"))
    assert "| Drift window | 30d, compared with the whole reference |" in texts["retraining_plan.md"]
