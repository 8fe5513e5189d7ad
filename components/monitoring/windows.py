"""The last windows of a use case, each judged: drift, realised and estimated error, coverage."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from components.monitoring.evidence import Evidence
from components.preprocessing.batch import compute
from components.preprocessing.spec import FeatureSpec
from components.training.model_format import Forecaster
from components.usecase import UseCase
from components.usecase.base import to_timedelta
from monitoring.drift import Profile, compare, restrict
from monitoring.drift.comparison import LEAST_ROWS


@dataclass(frozen=True)
class Watched:
    """All that windows are judged by.

    Attributes:
        usecase: the use case.
        table: validated table.
        joined: predictions with `due`, `y` and `last`.
        reference: reference profile of the first target's model.
        models: models by target, for those whose error is estimated.
        evidence: what is expected of each target; its first is the one whose predictions are watched for drift.
        now: the present, naive UTC.
    """

    usecase: UseCase
    table: pl.DataFrame
    joined: pl.DataFrame
    reference: Profile
    models: Mapping[str, Forecaster]
    evidence: Mapping[str, Evidence]
    now: datetime

    @property
    def newest(self) -> datetime:
        """The newest time of the table."""
        found: Any = self.table[self.usecase.time.column].max()
        return datetime.fromisoformat(str(found))


def judge(watched: Watched) -> list[dict[str, Any]]:
    """Return the last windows that the policy looks at, oldest first, as monitoring.json holds them."""
    usecase = watched.usecase
    length = to_timedelta(usecase.drift.window)
    end = watched.newest + to_timedelta(usecase.time.frequency)
    starts = [end - (back + 1) * length for back in reversed(range(usecase.drift.policy.of))]
    return [_window(watched, start, start + length) for start in starts]


def breached(usecase: UseCase, windows: list[dict[str, Any]]) -> bool:
    """Return whether so many of the windows breach as the policy asks for, the newest among them."""
    count = sum(window["breach"] for window in windows)
    return bool(windows) and windows[-1]["breach"] and count >= usecase.drift.policy.breaches


def _window(watched: Watched, start: datetime, stop: datetime) -> dict[str, Any]:
    time = pl.col(watched.usecase.time.column)
    rows = watched.table.filter((time >= start) & (time < stop))
    targets = {name: _target(watched, name, start, stop) for name in watched.evidence}
    drift = _drift(watched, rows) if rows.height >= LEAST_ROWS else None
    reasons = _reasons(watched.usecase, drift, targets)
    return {
        "start": start.isoformat(),
        "stop": stop.isoformat(),
        "rows": rows.height,
        "judged": drift is not None,
        "breach": bool(reasons),
        "reasons": reasons,
        "targets": targets,
        "drift": drift,
    }


def _drift(watched: Watched, rows: pl.DataFrame) -> dict[str, Any]:
    """Compare the raw columns and the first target's predictions with the reference."""
    usecase = watched.usecase
    keys = [*([usecase.entity] if usecase.entity else []), usecase.time.column]
    first = next(iter(watched.evidence))
    of_first = watched.joined.filter(pl.col("target") == first).select(*keys, "prediction")
    frame = rows.join(of_first, on=keys, how="left", maintain_order="left")
    raw = usecase.drift.columns or list(usecase.columns)
    names = [name for name in watched.reference.features if name in raw]
    if "prediction" in watched.reference.features and frame["prediction"].is_not_null().any():
        names.append("prediction")
    return compare(restrict(watched.reference, names), frame, now=watched.now).to_json()


def _target(watched: Watched, name: str, start: datetime, stop: datetime) -> dict[str, Any]:
    """Return a target's figures: the error of what was forecast for the window, the estimate of what was made in it."""
    evidence = watched.evidence[name]
    mine = watched.joined.filter(pl.col("target") == name)
    due = mine.filter((pl.col("due") >= start) & (pl.col("due") < stop))
    known = due.filter(pl.col("y").is_not_null() & pl.col("prediction").is_finite())
    figures: dict[str, Any] = {"rows": known.height, "predicted": due.height}
    if known.height < LEAST_ROWS:
        return {**figures, "judged": False, "estimated": _estimated(watched, name, start, stop)}
    error = (known["prediction"] - known["y"]).to_numpy()
    figures |= {
        "judged": True,
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "bias": float(error.mean()),
        **_relative(known, evidence),
        **_coverage(known, evidence),
    }
    return {**figures, "estimated": _estimated(watched, name, start, stop)}


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


def _estimated(watched: Watched, name: str, start: datetime, stop: datetime) -> dict[str, Any] | None:
    """Return the error to be expected of the forecasts made in the window, before their truth is known."""
    loss = watched.evidence[name].loss
    if loss is None:
        return None
    model, time = watched.models[name], pl.col(watched.usecase.time.column)
    before = to_timedelta(watched.usecase.time.frequency) * int(model.spec["history"])
    rows = watched.table.filter((time >= start - before) & (time < stop))
    features = compute(FeatureSpec.model_validate(model.spec), rows, model.names).filter(time >= start)
    return loss.estimate(features.select(model.names).to_numpy()).to_json() if features.height else None


def _reasons(usecase: UseCase, drift: dict[str, Any] | None, targets: Mapping[str, dict[str, Any]]) -> list[str]:
    # Error and coverage of every target share one false-alarm chance, as the columns share the other.
    level = usecase.drift.false_alarm_rate / (2 * max(1, len(targets)))
    reasons = []
    if drift is not None and drift["drifted"]:
        broken = [finding["message"] for finding in drift["findings"] if finding["severity"] == "broken"]
        named = drift["drifted_features"] or broken
        reasons.append(f"drift: {', '.join(named)}")
    for name, figures in targets.items():
        if (p := figures.get("relative_p_value")) is not None and p < level:
            reasons.append(f"error: {name} {figures['relative']:.3f} of persistence's, p {p:.2g} below {level:.2g}")
        if (p := figures.get("coverage_p_value")) is not None and p < level:
            reasons.append(f"coverage: {name} {figures['coverage']:.1%}, p {p:.2g} below {level:.2g}")
    return reasons
