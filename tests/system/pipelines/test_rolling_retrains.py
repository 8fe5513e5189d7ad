"""Twelve monthly retrains over the reference series, each from a file that has grown by a month, with small trees."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from almanac.core.files import pretty_json, read_json
from almanac.model.model import load_model
from almanac.training.train import Inputs, train
from almanac.usecase import UseCase, dump, load_text
from almanac.usecase.views import reads
from components.evaluation import task as evaluation
from components.ingestion import task as ingestion
from components.preprocessing import task as preprocessing
from components.validation import task as validation
from orchestration.retraining.plan import retraining
from tests.support.training_world import DIFFERENCE, RIDGE, usecase

#: The mornings on which the schedule fires; the data reach up to them.
MORNINGS = [date(2014 + month // 12, month % 12 + 1, 1) for month in range(1, 13)]
TARGET = "pm25_6h"
#: Hours of the series before 2012, which would only take time.
SKIPPED = 2 * 365 * 24
TREES = {**DIFFERENCE, "fixed": {**DIFFERENCE["fixed"], "n_estimators": 60, "num_leaves": 31}}


@dataclass(frozen=True)
class Retrain:
    """What one retrain left."""

    folder: Path
    morning: date

    @property
    def metrics(self) -> dict[str, Any]:
        document: dict[str, Any] = read_json(self.folder / "metrics.json")
        return document

    @property
    def split(self) -> dict[str, str]:
        found: dict[str, str] = self.metrics["split"]
        return found

    def errors(self, features: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
        model = load_model(self.folder / "model" / TARGET)
        X = features.select(model.names).cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return np.asarray(np.abs(model.predict(X).prediction - features[f"y_{TARGET}"].to_numpy()))


def scheduled(*candidates: dict[str, Any], **changes: Any) -> UseCase:
    """The use case as the schedule hands it to every run: by the split of a retraining, whose source grows."""
    data = usecase(*(candidates or (TREES,))).model_dump(mode="json")
    source = {**data["sources"][0], "type": "file", "path": "readings.csv"}
    source = {key: source[key] for key in ("name", "type", "path", "title", "licence", "read")}
    data |= {"sources": [source], "split": {"test": "last 365d", "retrain": {"test": "last 30d"}}}
    data["validation"] |= {"staleness": None, "min_rows": 1000}
    data["training"]["budget"]["trials"] = 1
    case = load_text(pretty_json({**data, **changes}), "scheduled")
    return retraining(case).apply(case)


def retrain(case: UseCase, source: Path, folder: Path, morning: date) -> Retrain:
    """Run the components of a training in the order of the pipeline."""
    folder.mkdir(parents=True)
    given, at = dump(case), folder.joinpath
    ingestion.run(given, source, at("raw.parquet"), at("lineage.json"))
    validation.run(given, at("raw.parquet"), at("table.parquet"), at("validation.html"))
    preprocessing.run(given, at("table.parquet"), at("features.parquet"), at("features.json"))
    # The task would write a tracker's archive too, for a second of processor time each.
    inputs = Inputs(at("features.parquet"), at("features.json"), at("table.parquet"))
    train(reads(load_text(given, "usecase"), "training"), inputs, at("model"), at("tuning.json"))
    written = [str(at(name)) for name in ("metrics.json", "evaluation.json", "predictions.parquet", "report.html")]
    evaluation.run(given, at("features.parquet"), at("model"), at("tuning.json"), written)
    return Retrain(folder, morning)


@pytest.fixture(scope="module")
def retrains(beijing_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Retrain]:
    base = tmp_path_factory.mktemp("retrains")
    lines, case = beijing_csv.read_text().splitlines(keepends=True), scheduled()
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALMANAC_CACHE", str(base / "cache"))
        for morning in MORNINGS:
            hours = (datetime(morning.year, morning.month, 1) - datetime(2010, 1, 1)) // timedelta(hours=1)
            # Two years before them, and the three hours of the day that has begun.
            (base / "readings.csv").write_text("".join([lines[0], *lines[1 + SKIPPED : 1 + hours + 3]]))
            made.append(retrain(case, base, base / str(morning), morning))
    return made


def test_each_retrain_is_tested_on_the_newest_complete_days(retrains: list[Retrain]) -> None:
    for one in retrains:
        month = timedelta(days=30)
        assert (one.split["test_from"], one.split["test_to"]) == (str(one.morning - month), str(one.morning))
        tested = pl.read_parquet(one.folder / "predictions.parquet")["timestamp"]
        assert tested.min() >= datetime.fromisoformat(one.split["test_from"])  # type: ignore[operator]
        assert tested.max() < datetime.fromisoformat(one.split["test_to"])  # type: ignore[operator]


def test_the_training_span_ends_a_month_later_each_time(retrains: list[Retrain]) -> None:
    for earlier, later in pairwise(retrains):
        ends = [read_json(one.folder / "tuning.json")["targets"][TARGET]["span_trained"][1] for one in (earlier, later)]
        learned, month = (datetime.fromisoformat(end) for end in ends), later.morning - earlier.morning
        first, last = learned
        # Rows without a measured target leave a part of a day open.
        assert abs((last - first) - month) < timedelta(days=2)
        assert last < datetime.fromisoformat(later.split["test_from"])


def test_what_the_spans_came_to_is_in_every_record(retrains: list[Retrain]) -> None:
    for one in retrains:
        records = [
            one.folder / name for name in ("tuning.json", "model/manifest.json", f"model/{TARGET}/manifest.json")
        ]
        assert [read_json(record)["split"] for record in records] == [one.split] * 3


def test_each_retrain_learned_the_month_before(retrains: list[Retrain]) -> None:
    """On the rows that a retrain learned anew it errs less than the model before, which had not seen them."""
    features = pl.read_parquet(retrains[-1].folder / "features.parquet")
    for earlier, later in pairwise(retrains):
        ends = [datetime.fromisoformat(one.split["train_to"]) for one in (earlier, later)]
        learned = pl.col("timestamp").is_between(ends[0], ends[1], closed="left")
        rows = features.filter(learned, pl.col(f"y_{TARGET}").is_finite())
        assert rows.height > 400
        before, after = (float(one.errors(rows).mean()) for one in (earlier, later))
        assert after < before, f"{later.morning}: MAE {after:.2f} of {before:.2f}"


def test_the_same_file_gives_the_same_model(retrains: list[Retrain], tmp_path: Path) -> None:
    last = retrains[-1]
    again = retrain(scheduled(), last.folder.parent, tmp_path / "again", last.morning)
    manifests = [one.folder / "model" / "manifest.json" for one in (last, again)]
    assert manifests[0].read_bytes() == manifests[1].read_bytes()


@pytest.mark.parametrize("days", [3, 5, 10])
def test_a_sliding_window_of_days_trains_with_folds_that_fit(days: int, beijing_csv: Path, tmp_path: Path) -> None:
    lines = beijing_csv.read_text().splitlines(keepends=True)
    (tmp_path / "readings.csv").write_text("".join([lines[0], *lines[-60 * 24 :]]))
    split = {"test": "last 21d", "train": f"last {days}d"}
    case = scheduled(TREES, RIDGE, split=split, training={**_training(TREES, RIDGE), "folds": {"count": 3}})
    one = retrain(case, tmp_path, tmp_path / "run", date(2015, 1, 1))
    assert one.split["test_from"] == "2014-12-11"
    start, end = (datetime.fromisoformat(one.split[name]) for name in ("train_from", "train_to"))
    assert end - start == timedelta(days=days)
    record = read_json(one.folder / "tuning.json")["targets"][TARGET]
    assert [fold["valid"]["rows"] >= 6 and fold["train"]["rows"] >= 12 for fold in record["folds"]] == [True] * 3
    figures = one.metrics["targets"][TARGET]
    # Little to learn from, yet a model and intervals that are of use.
    assert figures["rmse"] < 1.1 * figures["baselines"]["persistence"]["rmse"]
    assert 0.7 < figures["coverage"]["overall"] <= 1


def _training(*candidates: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = usecase(*candidates).model_dump(mode="json")["training"]
    return made
