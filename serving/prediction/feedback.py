"""Feedback: observed values of earlier predictions, and the rolling error."""

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from almanac.model.bundle import Bundle
from almanac.model.model import Model
from monitoring.metrics import (
    FEEDBACK,
    ROLLING_BIAS,
    ROLLING_COVERAGE,
    ROLLING_MAE,
    ROLLING_RMSE,
    ROLLING_ROWS,
    Metrics,
)
from serving.features.values import json_type, number
from serving.prediction.traffic import Traffic
from serving.runtime.errors import invalid

_VALUES = ("prediction", "actual", "lower", "upper")
_FIELDS = {*_VALUES, "target", "model_version"}
#: The squares of larger errors overflow the sum of a window.
_LARGEST = 1e150
#: Rows that are checked at a time, in less than a millisecond.
_PIECE = 64
#: Versions of each target that feedback may name: those in service, and the last before them.
_MOST_VERSIONS = 16
#: Name and version of a target.
_Key = tuple[str, str]


class _Rolling:
    """Errors and hits of one version of one target."""

    def __init__(self) -> None:
        self.errors: deque[float] = deque(maxlen=ROLLING_ROWS)
        self.inside: deque[bool] = deque(maxlen=ROLLING_ROWS)

    def extend(self, other: "_Rolling") -> None:
        """Add the newest errors and hits."""
        self.errors.extend(other.errors)
        self.inside.extend(other.inside)

    def metrics(self) -> dict[str, float]:
        n = len(self.errors)
        metrics = {
            "mae": sum(abs(e) for e in self.errors) / n,
            "rmse": math.sqrt(sum(e * e for e in self.errors) / n),
            "bias": sum(self.errors) / n,
        }
        return metrics | {"coverage": sum(self.inside) / len(self.inside)} if self.inside else metrics


class _Taken(_Rolling):
    """Errors and hits of one request, of which only the newest are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def add(self, values: dict[str, float]) -> None:
        """Add those of one row."""
        self.count += 1
        self.errors.append(values["prediction"] - values["actual"])
        if "lower" in values and "upper" in values:
            self.inside.append(values["lower"] <= values["actual"] <= values["upper"])


class Feedback:
    """Takes `{"feedback": [{"prediction": 52.1, "actual": 55.0, "lower": …, "upper": …, "model_version": …}]}`.

    The client sends the prediction back, so that no server has to store its answers and any replica can take feedback.
    Rows without a version count for the one in service, unless two of them answer.

    Attributes:
        observers: called with use case, target, version and error of each row of a target that two versions answer for.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.observers: list[Callable[[str, str, str, float], None]] = []
        self._rolling: dict[_Key, _Rolling] = {}
        self._versions: dict[_Key, None] = {}
        #: Targets that two versions answer for, with their use case.
        self._split: dict[str, str] = {}
        self._gauges = {
            "mae": metrics.gauge(ROLLING_MAE),
            "rmse": metrics.gauge(ROLLING_RMSE),
            "bias": metrics.gauge(ROLLING_BIAS),
            "coverage": metrics.gauge(ROLLING_COVERAGE),
        }

    def follow(self, use_case: str, traffic: Traffic | None) -> None:
        """Add the versions in service to those that feedback may name."""
        for target in traffic.primary.targets if traffic else ():
            if traffic and traffic.second is not None and traffic.role == "split":
                self._split[target] = use_case
            else:
                self._split.pop(target, None)
        for bundle in traffic.bundles if traffic else ():
            for target in bundle.targets:
                self._remember((target, bundle.version))

    def _remember(self, key: _Key) -> None:
        # Once more at the end, as the newest; a server that is swapped for years must not keep them all.
        self._versions.pop(key, None)
        self._versions[key] = None
        served = [known for known in self._versions if known[0] == key[0]]
        for old in served[:-_MOST_VERSIONS]:
            del self._versions[old]
            self._rolling.pop(old, None)

    async def take(self, bundle: Bundle, name: str, pieces: AsyncIterator[tuple[int, list[Any]]]) -> dict[str, Any]:
        """Take observed values and return the rolling metrics of each target in them.

        Args:
            bundle: the version in service.
            name: name of the requested model.
            pieces: the rows, some at a time, with the position of the first.

        Raises:
            HTTPError: a row that breaks a rule; nothing of the request is taken then.
        """
        ranges = {target.name: _range(target) for target in bundle.targets.values()}
        # All rows are checked before the first counts: a request is taken whole or not at all.
        taken: dict[_Key, _Taken] = {}
        # In the order of the rows: two versions are compared on the same period.
        compared: list[tuple[_Key, float]] = []
        async for first, rows in pieces:
            for at, row in enumerate(rows, first):
                key, values = self._read(bundle, name, row, f"feedback[{at}]", ranges)
                taken.setdefault(key, _Taken()).add(values)
                if key[0] in self._split:
                    compared.append((key, values["prediction"] - values["actual"]))
                if at % _PIECE == _PIECE - 1:
                    await asyncio.sleep(0)
        for key, new in taken.items():
            self._rolling.setdefault(key, _Rolling()).extend(new)
            self._metrics.counter(FEEDBACK).labels(*key).inc(new.count)
        await self._tell(compared)
        # Targets with rows of one version keep their plain name.
        versions = Counter(target for target, _ in taken)
        named = {(f"{key[0]} version {key[1]}" if versions[key[0]] > 1 else key[0]): key for key in taken}
        count = sum(new.count for new in taken.values())
        return {"taken": count, "rolling": {text: self._publish(key) for text, key in named.items()}}

    async def _tell(self, compared: list[tuple[_Key, float]]) -> None:
        for at, (key, error) in enumerate(compared):
            for observe in self.observers:
                observe(self._split.get(key[0], ""), *key, error)
            if at % _PIECE == _PIECE - 1:
                await asyncio.sleep(0)

    def _read(
        self, bundle: Bundle, name: str, row: Any, location: str, ranges: dict[str, tuple[float, float]]
    ) -> tuple[_Key, dict[str, float]]:
        if not isinstance(row, dict):
            raise invalid(f"{location}: {json_type(row)}; expected an object with prediction and actual")
        if extra := sorted(set(row) - _FIELDS):
            raise invalid(f"{location}: unknown field {extra[0]}; expected {', '.join(sorted(_FIELDS))}")
        # The model of one target needs no field for it; that of the use case does.
        target = row.get("target", name)
        if not isinstance(target, str) or target not in bundle.targets:
            raise invalid(f"{location}.target: {target!r} is not a target; one of {', '.join(bundle.targets)}")
        key = (target, self._version(row, target, bundle, location))
        values = {field: _value(row[field], f"{location}.{field}") for field in _VALUES if row.get(field) is not None}
        for field in ("prediction", "actual"):
            if field not in values:
                raise invalid(f"{location}: missing field {field}")
        low, high = ranges[target]
        if not low <= values["actual"] <= high:
            raise invalid(f"{location}.actual: {values['actual']:g} is beyond the declared range {low:g} to {high:g}")
        if "lower" in values and "upper" in values and values["lower"] > values["upper"]:
            raise invalid(f"{location}.lower: {values['lower']:g} is above upper, which is {values['upper']:g}")
        return key, values

    def _version(self, row: dict[str, Any], target: str, bundle: Bundle, location: str) -> str:
        version = row.get("model_version")
        if version is None and target in self._split:
            raise invalid(f"{location}: missing field model_version; two versions of {target} answer")
        if version is None:
            return bundle.version
        if not isinstance(version, str) or (target, version) not in self._versions:
            served = ", ".join(version for name, version in self._versions if name == target)
            raise invalid(f"{location}.model_version: {version!r} has not been served here; one of {served}")
        return version

    def _publish(self, key: _Key) -> dict[str, float]:
        metrics = self._rolling[key].metrics()
        for name, value in metrics.items():
            self._gauges[name].labels(*key).set(value)
        return metrics


def _value(item: Any, location: str) -> float:
    value = number(item, location)
    if abs(value) > _LARGEST:
        raise invalid(f"{location}: {value:g} is beyond {_LARGEST:g} in size")
    return value


def _range(model: Model) -> tuple[float, float]:
    """Return the range of observed values: that of the target's column, or 0 to 1 for a classification."""
    declared = model.signature.get("target", {})
    if declared.get("task") == "classification":
        return 0.0, 1.0
    for item in model.signature.get("inputs", []):
        if item["name"] == declared.get("column"):
            low, high = item.get("min"), item.get("max")
            return -math.inf if low is None else float(low), math.inf if high is None else float(high)
    return -math.inf, math.inf
