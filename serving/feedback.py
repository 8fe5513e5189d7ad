"""Observed values of what was predicted, and the rolling error that they give."""

import math
from collections import deque
from typing import Any

from monitoring.metrics import FEEDBACK, ROLLING_BIAS, ROLLING_COVERAGE, ROLLING_MAE, ROLLING_RMSE, Metrics
from serving.inputs.cells import kind, number
from serving.models.bundle import Bundle
from serving.models.target import Target
from serving.refusal import invalid

WINDOW = 500
"""Newest observed values that the rolling error is taken over."""
_FIELDS = {"prediction", "actual", "lower", "upper", "target"}


class _Rolling:
    """Errors and hits of one version of one target."""

    def __init__(self) -> None:
        self.errors: deque[float] = deque(maxlen=WINDOW)
        self.inside: deque[bool] = deque(maxlen=WINDOW)

    def figures(self) -> dict[str, float]:
        n = len(self.errors)
        found = {
            "mae": sum(abs(e) for e in self.errors) / n,
            "rmse": math.sqrt(sum(e * e for e in self.errors) / n),
            "bias": sum(self.errors) / n,
        }
        return found | {"coverage": sum(self.inside) / len(self.inside)} if self.inside else found


class Feedback:
    """Takes `{"feedback": [{"prediction": 52.1, "actual": 55.0, "lower": …, "upper": …}]}`.

    The client sends back what it was told: no server has to remember every answer, and any replica can take it.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._rolling: dict[tuple[str, str], _Rolling] = {}
        self._gauges = {
            "mae": metrics.gauge(ROLLING_MAE),
            "rmse": metrics.gauge(ROLLING_RMSE),
            "bias": metrics.gauge(ROLLING_BIAS),
            "coverage": metrics.gauge(ROLLING_COVERAGE),
        }

    def take(self, bundle: Bundle, name: str, document: dict[str, Any]) -> dict[str, Any]:
        """Take observed values and return the rolling figures of each target that they were for.

        Raises:
            Refusal: a row that breaks a rule; nothing of the request is taken then.
        """
        rows = document.get("feedback")
        if set(document) != {"feedback"} or not isinstance(rows, list) or not rows:
            raise invalid("expected one field, feedback: a list of rows with prediction and actual")
        read = [self._read(bundle, name, row, f"feedback[{at}]") for at, row in enumerate(rows)]
        touched: dict[str, Target] = {}
        for target, values in read:
            self._add(target, values)
            touched[target.name] = target
        return {"taken": len(rows), "rolling": {name: self._publish(target) for name, target in touched.items()}}

    def _read(self, bundle: Bundle, name: str, row: Any, place: str) -> tuple[Target, dict[str, float]]:
        if not isinstance(row, dict):
            raise invalid(f"{place}: {kind(row)}; expected an object with prediction and actual")
        if extra := sorted(set(row) - _FIELDS):
            raise invalid(f"{place}: unknown field {extra[0]}; expected {', '.join(sorted(_FIELDS))}")
        target = row.get("target", name)
        if not isinstance(target, str) or target not in bundle.targets:
            raise invalid(f"{place}.target: {target!r} is not a target; one of {', '.join(bundle.targets)}")
        values = {}
        for field in ("prediction", "actual", "lower", "upper"):
            if row.get(field) is not None:
                values[field] = number(row[field], f"{place}.{field}")
            elif field in ("prediction", "actual"):
                raise invalid(f"{place}: missing field {field}")
        return bundle.targets[target], values

    def _add(self, target: Target, values: dict[str, float]) -> None:
        rolling = self._rolling.setdefault((target.name, target.version), _Rolling())
        rolling.errors.append(values["prediction"] - values["actual"])
        if "lower" in values and "upper" in values:
            rolling.inside.append(values["lower"] <= values["actual"] <= values["upper"])
        self._metrics.counter(FEEDBACK).labels(target.name, target.version).inc()

    def _publish(self, target: Target) -> dict[str, float]:
        figures = self._rolling[(target.name, target.version)].figures()
        for name, value in figures.items():
            self._gauges[name].labels(target.name, target.version).set(value)
        return figures
