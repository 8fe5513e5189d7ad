"""The real series as a backtest walks it: models of any moment, and their references for monitoring.

The intervals are plainer than those of the use case: their widths follow from the forecast, and no feature marks
imputed readings, since rows without a reading are not forecast.
"""

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import lightgbm
import numpy as np
import numpy.typing as npt
import polars as pl

from almanac.core.arrays import Array, Mask
from almanac.drift import Profile, profile
from almanac.drift.outputs import freeze, importance_profile
from almanac.drift.profiles.seasons import calendar_of, parse_duration
from almanac.evaluation.gate.decide import decide as gate
from almanac.evaluation.gate.evidence import REGISTERED, RegisteredModel, read_evidence
from almanac.evaluation.gate.rules.not_worse_than_registered import NotWorse
from almanac.features.baselines import PERSISTENCE, SEASONAL
from almanac.features.batch import compute
from almanac.features.spec import FeatureSpec
from almanac.features.split import microseconds
from almanac.features.target import targets
from almanac.model.bodies.lightgbm import TreesPredictor
from almanac.model.directory import Directory
from almanac.model.engine import Engine
from almanac.model.intervals import Intervals
from almanac.model.model import Model
from almanac.model.offset import Offset
from almanac.training.calibration import calibrate
from almanac.usecase import UseCase, dump
from almanac.usecase.training_section import Target
from almanac.usecase.types import to_timedelta
from components.ingestion.task import run as ingest
from components.validation.task import run as validate
from monitoring.windows.expected_ranges import ExpectedRanges, expected_ranges
from monitoring.windows.join import with_truth
from monitoring.windows.outputs import WatchedModel

ROOT = Path(__file__).resolve().parent.parent
PARAMETERS = {
    "objective": "regression", "learning_rate": 0.08, "num_leaves": 31, "min_data_in_leaf": 60, "max_bin": 63,
    "feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1, "deterministic": True,
    "force_row_wise": True, "num_threads": 1, "seed": 7, "verbosity": -1,
}  # fmt: skip
ROUNDS = 80
FOLDS = 3
#: Rows of a block whose predictions are explained, as in training.
EXPLAINED = 30


@dataclass(frozen=True)
class Watch:
    """The references against which the windows of a model are evaluated.

    Attributes:
        intervals: by target.
        ranges: by target, from the out-of-fold rows of its span.
        reference: profile of the raw columns of its span.
        outputs: by target, the model and the reference of its outputs.
    """

    intervals: dict[str, Intervals]
    ranges: dict[str, ExpectedRanges]
    reference: Profile
    outputs: dict[str, WatchedModel]


@dataclass
class Walk:
    """The trainings and forecasts of one policy.

    Attributes:
        trained: times of its trainings, the first included.
        reasons: for each retraining the reason of the newest window.
        breaching: number of windows that breached on their own.
        refused: number of new models that the gate refused.
        forecasts: its forecasts in each window.
    """

    trained: list[datetime]
    reasons: list[str] = field(default_factory=list)
    breaching: int = 0
    refused: int = 0
    forecasts: list[pl.DataFrame] = field(default_factory=list)


class Series:
    """The series with its features, and the models trained on it, each once."""

    def __init__(self, usecase: UseCase, table: pl.DataFrame, span: str | None) -> None:
        self.usecase, self.table, self.span = usecase, table, span
        self.time = usecase.time.column
        spec = FeatureSpec.of(usecase)
        self.spec = spec.model_dump(mode="json")
        self.names = spec.names
        features = compute(spec, table)
        self.times = features[self.time]
        self.X = features.select(self.names).to_numpy()
        self.values = targets(usecase, spec, table)
        self._models: dict[datetime, dict[str, lightgbm.Booster]] = {}

    @cached_property
    def gap(self) -> timedelta:
        """The longest horizon, whose truths are not known yet at a training."""
        return to_timedelta(self.usecase.longest_horizon)

    def model(self, moment: datetime) -> dict[str, lightgbm.Booster]:
        """Return the boosters by target trained at a time; each learns the difference from the last known value."""
        if moment not in self._models:
            y = {target.name: self.column(f"y_{target.name}") for target in self.usecase.targets}
            last = {target.name: self.column(f"last_{target.name}") for target in self.usecase.targets}
            self._models[moment] = {name: self._fit(self._known(name, moment), y[name], last[name]) for name in y}
        return self._models[moment]

    def watch(self, moment: datetime) -> Watch:
        """Return the references of the model trained at a time: its out-of-fold rows and its profiles."""
        drift = self.usecase.drift
        found = {target.name: self._out_of_fold(target, moment) for target in self.usecase.targets}
        reference = profile(
            self.table.filter(pl.Series(self._span(moment))),
            columns=drift.columns or list(self.usecase.columns),
            time=self.time,
            season=drift.season,
            window=drift.window,
            false_alarm_rate=drift.false_alarm_rate,
        )
        intervals = {name: calibrated for name, (calibrated, _, _) in found.items()}
        ranges = {name: expected for name, (_, expected, _) in found.items()}
        outputs = {name: self._watched(name, moment, unseen) for name, (_, _, unseen) in found.items()}
        return Watch(intervals, ranges, reference, outputs)

    def rows(self, start: datetime | None, stop: datetime) -> Mask:
        """Return the rows of prediction times in a span (n,)."""
        inside = self.times < stop if start is None else (self.times >= start) & (self.times < stop)
        return inside.to_numpy()

    def column(self, name: str) -> Array:
        """Return a target column, y_ or last_ (n,)."""
        return self.values[name].to_numpy()

    def _span(self, moment: datetime) -> Mask:
        start = None if self.span is None else moment - to_timedelta(self.span)
        return self.rows(start, moment - self.gap)

    def _known(self, name: str, moment: datetime) -> npt.NDArray[np.intp]:
        finite = np.isfinite(self.column(f"y_{name}")) & np.isfinite(self.column(f"last_{name}"))
        return np.flatnonzero(self._span(moment) & finite)

    def _watched(self, name: str, moment: datetime, unseen: pl.DataFrame) -> WatchedModel:
        """Return the model trained at a time with the reference of its outputs, as training freezes it."""
        drift, rows = self.usecase.drift, self._known(name, moment)
        column = self.names.index(self.usecase.target(name).column)
        means = np.array([float(np.nanmean(self.X[rows, column]))])
        offset = Offset(0.0, np.array([column]), np.ones(1), means, means)
        text = self.model(moment)[name].model_to_string().encode()
        engine = Engine.read(text, offset.to_json(self.names), self.names)
        directory = Directory(Path(name), {"target": name}, f"{moment}", {})
        features = {"spec": self.spec, "names": self.names}
        model = Model(directory, f"{moment}", features, {}, TreesPredictor(engine, text), None)
        times = microseconds(self.times)[rows]
        calendar = calendar_of((int(times.min()), int(times.max())), drift.season, parse_duration(drift.window))
        picked = importance_profile.pick(times, calendar, EXPLAINED)
        values = model.explain(self.X[rows[picked]])[0]
        importances = importance_profile.freeze(times[picked], values, tuple(self.names), calendar, EXPLAINED)
        table = unseen.select(self.time, "prediction", target="y")
        reference = freeze(
            table,
            time=self.time,
            season=drift.season,
            window=drift.window,
            false_alarm_rate=drift.false_alarm_rate,
            importances=importances,
        )
        return WatchedModel(model, reference)

    def _out_of_fold(self, target: Target, moment: datetime) -> tuple[Intervals, ExpectedRanges, pl.DataFrame]:
        y, last = self.column(f"y_{target.name}"), self.column(f"last_{target.name}")
        parts = np.array_split(self._known(target.name, moment), FOLDS + 1)
        steps, unseen = self.gap // to_timedelta(self.usecase.time.frequency), []
        for fold in range(1, FOLDS + 1):
            before = np.concatenate(parts[:fold])
            booster = self._fit(before[before < parts[fold][0] - steps], y, last)
            unseen.append(np.asarray(booster.predict(self.X[parts[fold]])) + last[parts[fold]])
        rows, prediction = np.concatenate(parts[1:]), np.concatenate(unseen)
        settings = self.usecase.training.intervals
        intervals = calibrate(
            y[rows], prediction, last[rows], level=settings.level, bins=settings.bins, by=target.column
        )
        columns = {self.time: self.times[rows], "y": y[rows], "prediction": prediction, "last": last[rows]}
        lower, upper = intervals.apply(last[rows], prediction)
        unseen_rows = pl.DataFrame(columns | {"lower": lower, "upper": upper})
        return intervals, expected_ranges(self.usecase, target, unseen_rows), unseen_rows

    def _fit(self, rows: npt.NDArray[np.intp], y: Array, last: Array) -> lightgbm.Booster:
        data = lightgbm.Dataset(self.X[rows], (y - last)[rows], params=PARAMETERS, feature_name=self.names)
        return lightgbm.train(PARAMETERS, data, ROUNDS)

    def forecast(self, moment: datetime, watch: Watch | None, start: datetime, stop: datetime) -> pl.DataFrame:
        """Return the forecasts of the model trained at a time, as the component `prediction` writes them."""
        rows, parts = np.flatnonzero(self.rows(start, stop)), []
        for name, booster in self.model(moment).items():
            last = self.column(f"last_{name}")[rows]
            # Where the last value is missing there is no forecast, and the row is not judged.
            prediction = np.asarray(booster.predict(self.X[rows])) + last
            nothing = np.full_like(prediction, np.nan)
            lower, upper = watch.intervals[name].apply(last, prediction) if watch else (nothing, nothing)
            figures = {"prediction": prediction, "lower": lower, "upper": upper}
            part = pl.DataFrame({self.time: self.times[rows], "target": [name] * len(rows), **figures})
            parts.append(part.with_columns(version=pl.lit(1)))
        return pl.concat(parts)

    def admits(self, challenger: datetime, registered: datetime, start: datetime, stop: datetime) -> bool:
        """Return whether the gate opens for a model, compared with another on rows that neither was trained on."""
        made, theirs = (self.forecast(moment, None, start, stop) for moment in (challenger, registered))
        judged = with_truth(self.usecase, self.table.filter(pl.col(self.time) < stop), made)
        judged = judged.with_columns(theirs["prediction"].alias(REGISTERED))
        known = judged.filter(pl.col("y").is_not_null() & pl.col("prediction").is_finite())
        # The baselines are part of the scored rows; persistence is the one that states the power.
        rows = known.with_columns(pl.col("last").alias(PERSISTENCE), pl.lit(None, pl.Float64).alias(SEASONAL), "last")
        names = tuple(target.name for target in self.usecase.targets)
        errors = {name: {"rmse": 0.0} for name in names}
        case = self.usecase.model_copy(
            update={"gates": [NotWorse(rule="not_worse_than_registered", false_refusals=0.02)]}
        )
        metrics = {"use_case": case.name, "targets": errors}
        return gate(case, metrics, read_evidence(case, rows, RegisteredModel(1, names)))["passed"] is True


def validated(usecase: UseCase, folder: Path) -> pl.DataFrame:
    """Return the use case's validated table, fetched or from the cache."""
    raw, valid = folder / "raw.parquet", folder / "valid.parquet"
    with redirect_stdout(sys.stderr):  # the tasks tell their progress; standard output is for the figures
        ingest(dump(usecase), ROOT / "usecases", raw, folder / "lineage.json")
        validate(dump(usecase), raw, valid, folder / "validation.html")
    return pl.read_parquet(valid).with_columns(pl.col(usecase.time.column).cast(pl.Datetime("us")))
