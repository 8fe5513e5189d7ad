"""Judgement of the last windows: drift of columns and outputs, realised and estimated error, coverage."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from almanac.drift import Profile, compare, restrict
from almanac.drift.comparison import LEAST_ROWS
from almanac.drift.outputs import OutputDrift
from almanac.evaluation.groups import Slices, bands_of
from almanac.model.model import Model
from almanac.usecase import UseCase
from almanac.usecase.types import to_timedelta
from monitoring.windows.expected_ranges import ExpectedRanges
from monitoring.windows.false_alarm_budget import drift_level
from monitoring.windows.outputs import Features, Span, WatchedModel, judge_outputs, outputs_to_json
from monitoring.windows.reasons import drift_reasons, forecast_reasons


@dataclass(frozen=True)
class Monitored:
    """A use case with its data and the models in production.

    Attributes:
        usecase: the use case.
        table: validated table.
        joined: predictions with `due`, `y` and `last`.
        reference: reference profile of the columns.
        models: models by target, for those whose error is estimated.
        ranges: the expected metrics of each target.
        now: the present by the data's clock.
        outputs: by target, the model whose outputs are watched, or the reason why they are not.
    """

    usecase: UseCase
    table: pl.DataFrame
    joined: pl.DataFrame
    reference: Profile
    models: Mapping[str, Model]
    ranges: Mapping[str, ExpectedRanges]
    now: datetime
    outputs: Mapping[str, WatchedModel | str] = field(default_factory=dict)

    @property
    def newest(self) -> datetime:
        """The newest time of the table."""
        return datetime.fromisoformat(str(self.table[self.usecase.time.column].max()))

    @cached_property
    def features(self) -> Features:
        """The features of the table's windows."""
        return Features(self.usecase, self.table)

    @property
    def columns(self) -> list[str]:
        """The raw columns that are monitored."""
        raw = self.usecase.drift.columns or list(self.usecase.columns)
        return [name for name in self.reference.features if name in raw]

    @property
    def level(self) -> float:
        """The chance of a false alarm of each column and output."""
        models = sum(not isinstance(output, str) for output in self.outputs.values())
        return drift_level(self.usecase, len(self.columns), models)


@dataclass(frozen=True)
class JudgedWindow:
    """A window with its metrics and verdicts.

    Attributes:
        document: the window as monitoring.json holds it.
        outputs: by target, the model's outputs, compared; empty for a window of too few rows.
    """

    document: dict[str, Any]
    outputs: dict[str, OutputDrift]


def judge(monitored: Monitored) -> list[JudgedWindow]:
    """Return the last windows, as many as the policy asks for, oldest first."""
    usecase = monitored.usecase
    length = to_timedelta(usecase.drift.window)
    end = monitored.newest + to_timedelta(usecase.time.frequency)
    starts = [end - (back + 1) * length for back in reversed(range(usecase.drift.policy.of))]
    return [_window(monitored, Span(start, start + length)) for start in starts]


def breached(usecase: UseCase, windows: list[dict[str, Any]]) -> bool:
    """Return whether so many of the windows breach as the policy asks for, the newest among them."""
    count = sum(window["breach"] for window in windows)
    return bool(windows) and windows[-1]["breach"] and count >= usecase.drift.policy.breaches


def _window(monitored: Monitored, span: Span) -> JudgedWindow:
    rows = monitored.table.filter(span.holds(monitored.usecase.time.column))
    targets = {name: _target(monitored, name, span) for name in monitored.ranges}
    enough = rows.height >= LEAST_ROWS
    drift = _drift(monitored, rows) if enough else None
    outputs = _outputs(monitored, span) if enough else {}
    unwatched = {name: reason for name, reason in monitored.outputs.items() if isinstance(reason, str)}
    drifted = drift_reasons(monitored.usecase, drift, outputs)
    breaching = [*drifted, *forecast_reasons(monitored.usecase, targets)]
    document = {
        "start": span.start.isoformat(),
        "stop": span.stop.isoformat(),
        "rows": rows.height,
        "judged": drift is not None,
        "breach": bool(breaching),
        "drifted": bool(drifted),
        "reasons": breaching,
        "targets": targets,
        "drift": drift,
        "outputs": outputs_to_json({**outputs, **unwatched}),
    }
    return JudgedWindow(document, outputs)


def _drift(monitored: Monitored, rows: pl.DataFrame) -> dict[str, Any]:
    """Compare the raw columns with the reference."""
    names = monitored.columns
    # `compare` spreads the rate over the columns by itself.
    rate = min(0.5, monitored.level * len(names))
    # Not `whole`, for the same reason as in `detect`.
    document = compare(restrict(monitored.reference, names), rows, rate=rate, whole=False).to_json()
    del document["generated_at"]  # of the wall clock, on which the document does not depend
    return document


def _outputs(monitored: Monitored, span: Span) -> dict[str, OutputDrift]:
    """Compare the outputs of each model with their reference."""
    outputs = {}
    for name, model in monitored.outputs.items():
        if not isinstance(model, str):
            mine = monitored.joined.filter(pl.col("target") == name)
            outputs[name] = judge_outputs(monitored.usecase, model, mine, monitored.features, span, monitored.level)
    return outputs


def _target(monitored: Monitored, name: str, span: Span) -> dict[str, Any]:
    """Return a target's metrics: the error of the forecasts for the window, and the estimate for those made in it."""
    ranges = monitored.ranges[name]
    mine = monitored.joined.filter(pl.col("target") == name)
    due = mine.filter(span.holds("due"))
    # A forecast counts in the window that it was made for, not in the one that it was made in.
    known = due.filter(pl.col("y").is_not_null() & pl.col("prediction").is_finite())
    metrics: dict[str, Any] = {"rows": known.height, "predicted": due.height}
    if known.height < LEAST_ROWS:
        return {**metrics, "judged": False, "estimated": _estimated(monitored, name, span)}
    realised = _metrics(known)
    covered = realised["coverage"]
    metrics |= {
        **realised,
        "judged": True,
        **_relative(known, ranges),
        "coverage_p_value": None if covered is None or ranges.coverage is None else ranges.coverage.p_value(covered),
        "bands": _bands(monitored.usecase, name, known),
    }
    return {**metrics, "estimated": _estimated(monitored, name, span)}


def _bands(usecase: UseCase, name: str, known: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the metrics of each band of the last value, its absence among them; every row is in one of them."""
    last = known["last"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    (target,) = (each for each in usecase.targets if each.name == name)
    if target.task == "classification":
        # Its last value is a class, which lies in no band.
        slices = Slices.of(("0", "1"), np.nan_to_num(last, nan=-1.0).astype(np.int64))
    else:
        slices = bands_of(usecase, last)
    return {band: _metrics(known.filter(pl.Series(inside))) for band, inside in slices.items()}


def _metrics(known: pl.DataFrame) -> dict[str, Any]:
    error = (known["prediction"] - known["y"]).to_numpy()
    return {
        "rows": known.height,
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "bias": float(error.mean()),
        "coverage": _covered(known),
    }


def _covered(known: pl.DataFrame) -> float | None:
    """Return the share of the rows with an interval that lie in it; None without any."""
    rows = known.filter(pl.col("lower").is_finite() & pl.col("upper").is_finite())
    if not rows.height:
        return None
    return float(((rows["y"] >= rows["lower"]) & (rows["y"] <= rows["upper"])).to_numpy().mean())


def _relative(known: pl.DataFrame, ranges: ExpectedRanges) -> dict[str, Any]:
    rows = known.filter(pl.col("last").is_not_null())
    persistence = float((rows["last"] - rows["y"]).abs().to_numpy().mean()) if rows.height else 0.0
    # A series that stood still for the whole window has no persistence error to divide by.
    if persistence == 0.0:
        return {"persistence_mae": None, "relative": None, "relative_p_value": None}
    relative = float((rows["prediction"] - rows["y"]).abs().to_numpy().mean()) / persistence
    p_value = ranges.relative.p_value(relative) if ranges.relative else None
    return {"persistence_mae": persistence, "relative": relative, "relative_p_value": p_value}


def _estimated(monitored: Monitored, name: str, span: Span) -> dict[str, Any] | None:
    """Return the expected error of the forecasts made in the window, before their truth is known."""
    loss = monitored.ranges[name].loss
    if loss is None:
        return None
    model = monitored.models[name]
    features = monitored.features.of(model, span)
    return loss.estimate(features.select(model.names).to_numpy()).to_json() if features.height else None
