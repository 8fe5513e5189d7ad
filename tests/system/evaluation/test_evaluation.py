"""Evaluation on the real series: figures against scikit-learn and plain NumPy, evidence, outputs."""

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from kfp import dsl
from sklearn.metrics import log_loss, mean_pinball_loss, r2_score, roc_auc_score

from almanac.core.errors import MetricError, ModelError, TableError
from almanac.core.files import read_json, sha256_file, write_json
from almanac.evaluation.bootstrap import Bootstrap
from almanac.evaluation.evaluate import evaluate, leading_metrics
from almanac.evaluation.importance import explain
from almanac.evaluation.scored_rows import read_table, score_rows
from almanac.evaluation.target_metrics import target_metrics
from almanac.model.model import load_model
from almanac.usecase.training_section import Target
from almanac.usecase.views import trained_digest
from components.evaluation.component import evaluation
from tests.support import evaluation_world as world
from tests.support.chosen_targets import with_targets
from tests.support.use_case_artifact import use_case_artifact

HOUR = 3_600_000_000


class World:
    """The reference use case on a few features, its models, and one evaluation of them."""

    def __init__(self, directory: Path, series: pl.DataFrame) -> None:
        self.directory = directory
        every = world.usecase()
        self.usecase = with_targets(every, [every.target("pm25_1h"), every.target("pm25_24h")])
        self.table = world.features(series)
        self.features = directory / "features.parquet"
        self.table.write_parquet(self.features)
        self.model = directory / "model"
        for target in self.usecase.targets:
            world.write_model(self.model / target.name, self.table, target.name, self.usecase)
        write_json(self.model / "manifest.json", {"format": 1, "targets": ["pm25_1h", "pm25_24h"]})
        self.out = directory / "out"
        self.metrics = evaluate(self.usecase, self.features, self.model, self.out)
        self.predictions = pl.read_parquet(self.out / "predictions.parquet")

    def rows(self, target: str) -> pl.DataFrame:
        return self.predictions.filter(pl.col("target") == target)


def root_mean_square(errors: pl.Series) -> float:
    return float(np.sqrt(np.mean(errors.to_numpy() ** 2)))


@pytest.fixture(scope="module")
def judged(beijing: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("evaluation"), beijing)


@pytest.mark.parametrize("target", ["pm25_1h", "pm25_24h"])
def test_point_figures_are_those_of_scikit_learn(judged: World, target: str) -> None:
    entry, rows = judged.metrics["targets"][target], judged.rows(target)
    y, p = rows["y"].to_numpy(), rows["prediction"].to_numpy()
    assert entry["n"] == rows.height
    assert entry["rmse"] == pytest.approx(np.sqrt(np.mean((y - p) ** 2)))
    assert entry["mae"] == pytest.approx(np.mean(np.abs(y - p)))
    assert entry["r2"] == pytest.approx(r2_score(y, p))
    assert entry["bias"] == pytest.approx(np.mean(p - y))
    losses = [mean_pinball_loss(y, rows[end], alpha=q) for end, q in (("lower", 0.05), ("upper", 0.95))]
    assert entry["pinball"] == pytest.approx(np.mean(losses))
    for name, (low, high) in entry["ci"].items():
        assert low < entry[name] < high


def test_every_measured_row_of_the_test_span_counts_and_no_other(judged: World, beijing: pl.DataFrame) -> None:
    for hours in (1, 24):
        rows = judged.rows(f"pm25_{hours}h")
        due = rows.select((pl.col("timestamp") + pl.duration(hours=hours)).alias("timestamp"), "y")
        truth = due.join(beijing, on="timestamp", how="left")
        assert truth["y"].equals(truth["pm25"].alias("y"))
        assert rows["timestamp"].dt.year().unique().to_list() == [2014]
        measured = beijing.filter(pl.col("timestamp").dt.year() == 2014, pl.col("pm25").is_not_null())
        assert due["timestamp"].is_in(measured["timestamp"].to_list()).all()
        first = measured.filter(pl.col("timestamp") >= due["timestamp"].min())
        assert rows.height == first.height


def test_the_seasonal_baseline_is_the_newest_known_value_of_the_phase(judged: World, beijing: pl.DataFrame) -> None:
    known = beijing.select(pl.col("timestamp") + pl.duration(hours=23), pl.col("pm25").alias("then"))
    rows = judged.rows("pm25_1h").join(known, on="timestamp", how="left")
    assert rows["seasonal"].equals(rows["then"].alias("seasonal"))


def test_a_baseline_that_repeats_another_is_counted_once(judged: World) -> None:
    """A day ahead the last known value is the newest one of the phase."""
    near, far = (judged.metrics["targets"][f"pm25_{hours}h"] for hours in (1, 24))
    learned = ["mean", "climatology", "recent_mean", "drift"]
    assert (list(near["baselines"]), list(near["skill"])) == (["persistence", "seasonal", *learned],) * 2
    assert (list(far["baselines"]), list(far["skill"])) == (["persistence", *learned],) * 2
    assert judged.rows("pm25_24h")["seasonal"].is_null().all()
    page = (judged.out / "report.html").read_text()
    for entry in (near, far):
        baseline = entry["headline"]["baseline"].replace("_", " ")
        assert f"<dt>Best baseline</dt><dd>{baseline} " in page


@pytest.mark.parametrize("hours", [1, 24])
def test_the_headline_is_the_skill_against_the_best_baseline_on_the_same_rows(judged: World, hours: int) -> None:
    entry = judged.metrics["targets"][f"pm25_{hours}h"]
    names, headline = list(entry["baselines"]), entry["headline"]
    rows = judged.rows(f"pm25_{hours}h").drop_nulls(names)
    errors = {name: root_mean_square(rows["y"] - rows[name]) for name in names}
    assert headline["baseline"] == min(errors, key=errors.__getitem__)
    assert (headline["n"], headline["error"]) == (rows.height, pytest.approx(min(errors.values())))
    assert headline["model"] == pytest.approx(root_mean_square(rows["y"] - rows["prediction"]))
    assert headline["skill"] == pytest.approx(1 - headline["model"] / headline["error"])
    assert headline["ci"][0] < headline["skill"] < headline["ci"][1]


def test_groups_add_up_to_all_rows(judged: World) -> None:
    """Rows whose last value is unknown are the group unknown, and no row is in none."""
    for target, entry in judged.metrics["targets"].items():
        for group, parts in entry["slices"].items():
            assert sum(part["n"] for part in parts.values()) == entry["n"], (target, group)
        rows = judged.rows(target).filter(pl.col("last").is_null())
        unknown, details = entry["slices"]["band"]["unknown"], entry["coverage"]["band_details"]
        assert unknown["n"] == rows.height > 0
        assert unknown["rmse"] == pytest.approx(root_mean_square(rows["y"] - rows["prediction"]))
        assert entry["coverage"]["bands"]["unknown"] == pytest.approx(rows["y"].is_between(*ends(rows)).mean())
        assert sum(detail["n"] for detail in details.values()) == entry["n"]
        assert entry["disparity"]["band"]["mae"]["worst"] in entry["slices"]["band"]


def ends(rows: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    return rows["lower"], rows["upper"]


def test_the_disparity_of_the_bias_is_signed(judged: World) -> None:
    entry = judged.metrics["targets"]["pm25_24h"]
    biases = {name: part["bias"] for name, part in entry["slices"]["season"].items()}
    found = entry["disparity"]["season"]["bias"]
    assert found["difference"] == pytest.approx(max(biases.values()) - min(biases.values()))
    assert found["ratio"] is None
    assert found["worst"] == max(biases, key=lambda name: abs(biases[name]))


@pytest.mark.parametrize("hours", [1, 24])
def test_skill_is_measured_where_the_baseline_has_a_forecast(judged: World, hours: int) -> None:
    rows = judged.rows(f"pm25_{hours}h").drop_nulls("last")
    error = judged.metrics["targets"][f"pm25_{hours}h"]["baselines"]["persistence"]
    assert error["rmse"] == pytest.approx(root_mean_square(rows["y"] - rows["last"]))
    assert error["model"]["rmse"] == pytest.approx(root_mean_square(rows["y"] - rows["prediction"]))
    skill = judged.metrics["targets"][f"pm25_{hours}h"]["skill"]["persistence"]
    assert skill["rmse"] == pytest.approx(1 - error["model"]["rmse"] / error["rmse"])
    assert skill["ci"][0] < skill["rmse"] < skill["ci"][1]


def test_coverage_holds_the_bands_of_the_last_known_value(judged: World) -> None:
    edges = {"0-35": (-1, 35), "35-75": (35, 75), "75-150": (75, 150), "over 150": (150, 9999)}
    for target in ("pm25_1h", "pm25_24h"):
        rows, coverage = judged.rows(target), judged.metrics["targets"][target]["coverage"]
        inside = rows.with_columns(pl.col("y").is_between("lower", "upper").alias("in"))
        assert coverage["overall"] == pytest.approx(inside["in"].mean())
        assert coverage["width"] == pytest.approx((rows["upper"] - rows["lower"]).mean())
        assert list(coverage["bands"]) == [*edges, "unknown"]
        for band, (low, high) in edges.items():
            part = inside.filter(pl.col("last") > low, pl.col("last") <= high)
            assert coverage["bands"][band] == pytest.approx(part["in"].mean())
            assert coverage["band_details"][band]["n"] == part.height


def test_slices_and_disparities_are_those_of_the_groups(judged: World, beijing: pl.DataFrame) -> None:
    entry = judged.metrics["targets"]["pm25_24h"]
    rows = judged.rows("pm25_24h").join(beijing.select("timestamp", "cbwd"), on="timestamp")
    error = rows.with_columns((pl.col("prediction") - pl.col("y")).abs().alias("e"))
    by_wind = dict(error.group_by("cbwd").agg(pl.col("e").mean()).iter_rows())
    assert {name: part["mae"] for name, part in entry["slices"]["wind"].items()} == pytest.approx(by_wind)
    by_hour = dict(error.group_by(pl.col("timestamp").dt.hour()).agg(pl.col("e").mean()).iter_rows())
    assert {int(h): part["mae"] for h, part in entry["slices"]["hour"].items()} == pytest.approx(by_hour)
    winter = error.filter(pl.col("timestamp").dt.month().is_in([12, 1, 2]))
    assert entry["slices"]["season"]["winter"]["mae"] == pytest.approx(winter["e"].mean())
    assert sum(part["n"] for part in entry["slices"]["weekend"].values()) == entry["n"]
    assert entry["fewest_rows"] == 30
    wind = entry["disparity"]["wind"]["mae"]
    assert wind["ratio"] == pytest.approx(max(by_wind.values()) / min(by_wind.values()))
    assert wind["worst"] == max(by_wind, key=by_wind.__getitem__)


def test_bootstrap_sums_are_those_of_the_resampled_rows() -> None:
    random = np.random.default_rng(1)
    time = np.sort(random.choice(1000, size=700, replace=False)).astype(np.int64) * HOUR
    values = random.normal(size=(700, 2))
    drawn = Bootstrap.draw(time, HOUR, 24 * HOUR, 20, seed=3)
    sums = drawn.sums(values)
    steps = (time - time[0]) // HOUR
    for repeat, starts in enumerate(drawn.starts):
        rows = np.concatenate([np.flatnonzero((steps >= start) & (steps < start + 24)) for start in starts])
        assert sums[repeat] == pytest.approx(values[rows].sum(axis=0))


def test_bootstrap_intervals_widen_with_the_dependence_of_neighbours() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(size=4000)
    tied = np.convolve(noise, np.ones(48) / np.sqrt(48), mode="same")
    time = np.arange(4000, dtype=np.int64) * HOUR
    drawn = Bootstrap.draw(time, HOUR, 168 * HOUR, 400, seed=0)
    free, bound = (np.std(drawn.sums(v[:, None])[:, 0]) for v in (noise, tied))
    assert bound > 4 * free


def test_shap_values_add_up_to_the_forecast(judged: World) -> None:
    table = read_table(judged.features, judged.usecase)
    for target in judged.usecase.targets:
        model = load_model(judged.model / target.name)
        rows = score_rows(judged.usecase, table, target, model)
        chosen = np.arange(0, rows.y.size, 97)
        explained = explain(model, rows, chosen)
        assert explained is not None
        forecast = np.clip(explained.base + explained.values.sum(axis=1), 0, None)
        assert forecast == pytest.approx(rows.prediction[chosen], abs=1e-9)


def test_error_analysis_finds_the_worst_day(judged: World) -> None:
    rows = judged.rows("pm25_24h").with_columns((pl.col("timestamp") + pl.duration(hours=24)).dt.date().alias("day"))
    squares = rows.group_by("day").agg(((pl.col("prediction") - pl.col("y")) ** 2).sum().alias("s"))
    worst = squares.sort("s", descending=True).row(0, named=True)
    found = read_json(judged.out / "evaluation.json")["targets"]["pm25_24h"]["worst_days"][0]
    assert found["day"] == str(worst["day"])
    assert found["share"] == pytest.approx(worst["s"] / squares["s"].sum())


def test_the_same_input_gives_the_same_bytes(judged: World, tmp_path: Path) -> None:
    evaluate(judged.usecase, judged.features, judged.model, tmp_path)
    for path in sorted(judged.out.iterdir()):
        assert sha256_file(tmp_path / path.name) == sha256_file(path), path.name


def test_the_future_of_the_target_does_not_reach_the_forecast(judged: World) -> None:
    """A changed truth changes figures, never forecasts, intervals or baselines of that row."""
    changed = judged.table.with_columns(
        pl.when(pl.col("timestamp").dt.year() == 2014).then(pl.col("y_pm25_1h") + 5).otherwise(pl.col("y_pm25_1h"))
    )
    target, model = judged.usecase.targets[0], load_model(judged.model / "pm25_1h")
    before, after = (score_rows(judged.usecase, table, target, model) for table in (judged.table, changed))
    for name in ("time", "prediction", "lower", "upper", "last"):
        assert np.array_equal(getattr(before, name), getattr(after, name), equal_nan=True), name
    assert np.array_equal(after.y, before.y + 5)


def test_entities_are_resampled_together(judged: World) -> None:
    """Two series that are copies of each other hold no more evidence than one."""
    both = pl.concat([judged.table.with_columns(pl.lit(name).alias("station")) for name in ("a", "b")])
    case = judged.usecase.model_copy(update={"entity": "station"})
    target, model = judged.usecase.targets[0], load_model(judged.model / "pm25_1h")
    rows = score_rows(case, both.sort("station", "timestamp"), target, model)
    assert rows.keys.columns == ["station", "timestamp"]
    twice, once = target_metrics(case, rows, "trees"), judged.metrics["targets"]["pm25_1h"]
    assert twice["n"] == 2 * once["n"]
    for name in ("rmse", "mae", "bias"):
        assert twice[name] == pytest.approx(once[name])
        assert twice["ci"][name] == pytest.approx(once["ci"][name])
    assert twice["baselines"]["seasonal"]["rmse"] == pytest.approx(once["baselines"]["seasonal"]["rmse"])


def test_a_classification_is_judged_as_a_probability(judged: World, tmp_path: Path) -> None:
    target = Target(name="pm25_6h", column="pm25", horizon="6h", task="classification", above=150.0)
    case = with_targets(judged.usecase, [target])
    world.write_model(tmp_path / "model" / target.name, judged.table, target.name, case)
    entry = evaluate(case, judged.features, tmp_path / "model", tmp_path)["targets"]["pm25_6h"]
    rows = pl.read_parquet(tmp_path / "predictions.parquet")
    y, p = rows["y"].to_numpy(), rows["prediction"].to_numpy()
    assert set(y) == {0.0, 1.0}
    assert entry["log_loss"] == pytest.approx(log_loss(y, p))
    assert entry["brier"] == pytest.approx(np.mean((p - y) ** 2))
    assert entry["auc"] == pytest.approx(roc_auc_score(y, p))
    assert entry["ci"]["auc"][0] < entry["auc"] < entry["ci"]["auc"][1]
    rates = rows["persistence"].drop_nulls().unique().sort().to_list()
    assert len(rates) == 2
    assert 0 < rates[0] < rates[1] < 1
    assert 0 < entry["skill"]["persistence"]["log_loss"] < 1
    assert "coverage" not in entry
    assert "rmse" not in entry


def test_what_the_table_lacks_is_named(judged: World, tmp_path: Path) -> None:
    path = tmp_path / "features.parquet"
    for column in ("y_pm25_24h", "last_pm25_24h", "pm25_lag_6h", "timestamp"):
        judged.table.drop(column).write_parquet(path)
        with pytest.raises(TableError, match=column):
            evaluate(judged.usecase, path, judged.model, tmp_path / "out")
    judged.table.with_columns(pl.lit(None, pl.Float64).alias("y_pm25_1h")).write_parquet(path)
    with pytest.raises(TableError, match="pm25 was nowhere measured in the test span"):
        evaluate(judged.usecase, path, judged.model, tmp_path / "out")
    path.write_bytes(b"no Parquet")
    with pytest.raises(TableError, match="not a Parquet table"):
        evaluate(judged.usecase, path, judged.model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_altered_model_is_refused(judged: World, tmp_path: Path) -> None:
    for target in judged.usecase.targets:
        for path in (judged.model / target.name).iterdir():
            (tmp_path / target.name).mkdir(exist_ok=True)
            (tmp_path / target.name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "pm25_24h" / "offset.json").write_text("{}")
    with pytest.raises(ModelError, match=r"offset\.json: altered"):
        evaluate(judged.usecase, judged.features, tmp_path, tmp_path / "out")


def test_leading_figures_refuse_a_number_that_is_none(judged: World) -> None:
    assert leading_metrics(judged.metrics)["pm25_1h_rmse"] == judged.metrics["targets"]["pm25_1h"]["rmse"]
    broken: dict[str, Any] = copy.deepcopy(judged.metrics)
    broken["targets"]["pm25_24h"]["r2"] = float("nan")
    with pytest.raises(MetricError, match="pm25_24h_r2 is nan"):
        leading_metrics(broken)


def test_the_component_leaves_what_the_user_interface_shows(judged: World, tmp_path: Path) -> None:
    case = with_targets(judged.usecase, judged.usecase.targets[:1])
    tuning = tmp_path / "tuning.json"
    tuning.write_text(
        '{"targets": {"pm25_1h": {"metric": "rmse", "chosen": "trees", "rows_compared": 9, '
        '"candidates": {"trees": {"loss": 21.0, "folds": [20.0, 22.0]}}, "baselines": {}, "trials": {}}}}'
    )
    kinds = {"figures": dsl.Artifact, "evaluation": dsl.Artifact, "predictions": dsl.Dataset, "report": dsl.HTML}
    outputs = {name: kind(name=name, uri=str(tmp_path / name)) for name, kind in kinds.items()}
    metrics = dsl.Metrics(name="metrics", uri=str(tmp_path / "metrics"))
    evaluation.python_func(
        usecase=use_case_artifact(case, tmp_path),
        features=dsl.Dataset(uri=str(judged.features)),
        model=dsl.Model(uri=str(judged.model)),
        tuning=dsl.Artifact(uri=str(tuning)),
        metrics=metrics,
        **outputs,
    )
    assert read_json(tmp_path / "figures")["targets"]["pm25_1h"]["model"] == "trees"
    assert metrics.metadata["pm25_1h_rmse"] == pytest.approx(judged.metrics["targets"]["pm25_1h"]["rmse"])
    assert "trees" in (tmp_path / "report").read_text()
    made = outputs["report"].metadata
    assert made["features_digest"] == sha256_file(judged.features)
    assert made["model_digest"] == sha256_file(judged.model / "manifest.json")
    assert made["use_case_digest"] == trained_digest(case)


def test_the_report_stands_alone(judged: World) -> None:
    page = (judged.out / "report.html").read_text()
    assert len(page) < 3_000_000
    assert "<script" not in page
    assert "@import" not in page
    assert "<img" not in page
    outside = set(re.findall(r'(?:src|href)="(?!#)([^"]+)"', page))
    assert outside == set()
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)
