"""Labels of metrics, units and horizons in reports and plots."""

from typing import Any

#: Name of the grouping of a panel's rows by whether training has seen their entity.
TRAINING = "entity_in_training"

_NAMES = {
    "rmse": "RMSE",
    "mae": "MAE",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "r2": "R²",
    "smape": "sMAPE",
    "mase": "MASE",
    "mase_median": "Median MASE",
    "auc": "AUC",
    "ece": "Calibration error",
    "mdape": "Median error",
    "mae_log": "MAE of log",
}


def ahead(horizon: str, events: bool = False) -> str:
    """Return a horizon as people write it: 6 h ahead; of events, which come at any time, the next one."""
    if events:
        return "next event"
    return f"{horizon.rstrip('minhd')} {horizon.lstrip('0123456789')} ahead"


def label(metric: str) -> str:
    """Return the name of a metric as people write it."""
    return _NAMES.get(metric, metric.replace("_", " ").capitalize())


def series_of(entity: str, count: int) -> str:
    """Return a number of series by the column that identifies them: 12 station series."""
    return f"{count:,} series" if entity == "series" else f"{count:,} {entity} series"


def unit_of(entry: dict[str, Any]) -> str:
    """Return the unit of a target's errors; those of probabilities have none."""
    return "" if entry["task"] == "classification" else str(entry["unit"] or "")


def in_unit(entry: dict[str, Any]) -> str:
    """Return the unit of a target's errors as the end of a title."""
    return f", {unit_of(entry)}" if unit_of(entry) else ""
