"""The last windows of a use case, each judged: drift of columns and outputs, realised and estimated error, coverage."""

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
from almanac.model.model import Model
from almanac.usecase import UseCase
from almanac.usecase.types import to_timedelta
from monitoring.windows import false_alarm_budget, reasons
from monitoring.windows.expected_ranges import Evidence
from monitoring.windows.outputs import Features, Span, WatchedModel, judge_outputs


@dataclass(frozen=True)
class Watched:
    """All that windows are judged by.

    Attributes:
        usecase: the use case.
        table: validated table.
        joined: predictions with `due`, `y` and `last`.
        reference: reference profile of the columns.
        models: models by target, for those whose error is estimated.
        evidence: what is expected of each target.
        now: the present, naive UTC.
        outputs: by target, the model whose outputs are watched, or why they are not.
    """

    usecase: UseCase
    table: pl.DataFrame
    joined: pl.DataFrame
    reference: Profile
    models: Mapping[str, Model]
    evidence: Mapping[str, Evidence]
    now: datetime
    outputs: Mapping[str, WatchedModel | str] = field(default_factory=dict)

    @property
    def newest(self) -> datetime:
        """The newest time of the table."""
        found: Any = self.table[self.usecase.time.column].max()
        return datetime.fromisoformat(str(found))

    @cached_property
    def features(self) -> Features:
        """The features of the table's windows."""
        return Features(self.usecase, self.table)

    @property
    def columns(self) -> list[str]:
        """The raw columns that are watched."""
        raw = self.usecase.drift.columns or list(self.usecase.columns)
        return [name for name in self.reference.features if name in raw]

    @property
    def level(self) -> float:
        """The chance of a false alarm that each column and output is given."""
        models = sum(not isinstance(found, str) for found in self.outputs.values())
        return false_alarm_budget.of_drift(self.usecase, len(self.columns), models)


@dataclass(frozen=True)
class Judged:
    """A judged window.

    Attributes:
        document: the window as monitoring.json holds it.
        outputs: by target, the model's outputs, compared; empty for a window of too few rows.
    """

    document: dict[str, Any]
    outputs: dict[str, OutputDrift]


def judge(watched: Watched) -> list[Judged]:
    """Return the last windows that the policy looks at, oldest first."""
    usecase = watched.usecase
    length = to_timedelta(usecase.drift.window)
    end = watched.newest + to_timedelta(usecase.time.frequency)
    starts = [end - (back + 1) * length for back in reversed(range(usecase.drift.policy.of))]
    return [_window(watched, Span(start, start + length)) for start in starts]


def breached(usecase: UseCase, windows: list[dict[str, Any]]) -> bool:
    """Return whether so many of the windows breach as the policy asks for, the newest among them."""
    count = sum(window["breach"] for window in windows)
    return bool(windows) and windows[-1]["breach"] and count >= usecase.drift.policy.breaches


def _window(watched: Watched, span: Span) -> Judged:
    rows = watched.table.filter(span.holds(watched.usecase.time.column))
    targets = {name: _target(watched, name, span) for name in watched.evidence}
    enough = rows.height >= LEAST_ROWS
    drift = _drift(watched, rows) if enough else None
    outputs = _outputs(watched, span) if enough else {}
    why = {name: found for name, found in watched.outputs.items() if isinstance(found, str)}
    drifted = reasons.of_drift(watched.usecase, drift, outputs)
    breaching = [*drifted, *reasons.of_forecasts(watched.usecase, targets)]
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
        "outputs": {
            **{name: {"judged": True, **found.to_json()} for name, found in outputs.items()},
            **{name: {"judged": False, "why": reason} for name, reason in why.items()},
        },
    }
    return Judged(document, outputs)


def _drift(watched: Watched, rows: pl.DataFrame) -> dict[str, Any]:
    """Compare the raw columns with the reference."""
    names = watched.columns
    rate = min(0.5, watched.level * len(names))
    return compare(restrict(watched.reference, names), rows, now=watched.now, rate=rate).to_json()


def _outputs(watched: Watched, span: Span) -> dict[str, OutputDrift]:
    """Compare what each model gave out with its reference."""
    found = {}
    for name, model in watched.outputs.items():
        if not isinstance(model, str):
            mine = watched.joined.filter(pl.col("target") == name)
            found[name] = judge_outputs(
                watched.usecase, model, mine, watched.features, span, watched.level, watched.now
            )
    return found


def _target(watched: Watched, name: str, span: Span) -> dict[str, Any]:
    """Return a target's figures: the error of what was forecast for the window, the estimate of what was made in it."""
    evidence = watched.evidence[name]
    mine = watched.joined.filter(pl.col("target") == name)
    due = mine.filter(span.holds("due"))
    known = due.filter(pl.col("y").is_not_null() & pl.col("prediction").is_finite())
    figures: dict[str, Any] = {"rows": known.height, "predicted": due.height}
    if known.height < LEAST_ROWS:
        return {**figures, "judged": False, "estimated": _estimated(watched, name, span)}
    error = (known["prediction"] - known["y"]).to_numpy()
    figures |= {
        "judged": True,
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "bias": float(error.mean()),
        **_relative(known, evidence),
        **_coverage(known, evidence),
    }
    return {**figures, "estimated": _estimated(watched, name, span)}


def _relative(known: pl.DataFrame, evidence: Evidence) -> dict[str, Any]:
    rows = known.filter(pl.col("last").is_not_null())
    persistence = float((rows["last"] - rows["y"]).abs().to_numpy().mean()) if rows.height else 0.0
    if persistence == 0.0:
        return {"persistence_mae": None, "relative": None, "relative_p_value": None}
    relative = float((rows["prediction"] - rows["y"]).abs().to_numpy().mean()) / persistence
    p_value = evidence.relative.p_value(relative) if evidence.relative else None
    return {"persistence_mae": persistence, "relative": relative, "relative_p_value": p_value}


def _coverage(known: pl.DataFrame, evidence: Evidence) -> dict[str, Any]:
    rows = known.filter(pl.col("lower").is_finite() & pl.col("upper").is_finite())
    if not rows.height:
        return {"coverage": None, "coverage_p_value": None}
    inside = (rows["y"] >= rows["lower"]) & (rows["y"] <= rows["upper"])
    share = float(inside.to_numpy().mean())
    return {"coverage": share, "coverage_p_value": evidence.coverage.p_value(share) if evidence.coverage else None}


def _estimated(watched: Watched, name: str, span: Span) -> dict[str, Any] | None:
    """Return the error to be expected of the forecasts made in the window, before their truth is known."""
    loss = watched.evidence[name].loss
    if loss is None:
        return None
    model = watched.models[name]
    features = watched.features.of(model, span)
    return loss.estimate(features.select(model.names).to_numpy()).to_json() if features.height else None
