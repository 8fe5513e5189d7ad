"""Predictions and explanations by model name, for every protocol."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import TypeVar

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import FeatureError, ModelError
from almanac.model.bundle import Bundle
from almanac.model.model import Model
from almanac.model.prediction import Predictions, Row
from almanac.model.predictor import Rows
from monitoring.metrics import Metrics
from serving.features.feature_sets import FeatureSets
from serving.features.records import EntityRequest, Instances
from serving.features.values import number
from serving.prediction.answers import Answer, Explanation, Observer
from serving.prediction.cache import PredictionCache
from serving.prediction.prediction_log import PredictionLogs
from serving.prediction.ranges import NAMED, Policy, Ranges
from serving.prediction.repository import Repository
from serving.prediction.row_counters import RowCounters
from serving.prediction.shadow import Shadow
from serving.runtime.batched_counters import BatchedCounters
from serving.runtime.bounds import Bounds
from serving.runtime.errors import HTTPError, invalid

T = TypeVar("T")

#: Rows of trees from which a request is computed in a thread, so that single rows do not wait for it.
LARGE = 128
_BOUNDS = Bounds()
#: Rows that are explained at a time.
_EXPLAINED = 64
#: Predictions that take as long as one explanation.
_EXPLANATION_COST = 20


class Service:
    """Predictions by model name.

    Args:
        repository: the models.
        metrics: the metrics.
        counters: batches the metrics of the hot path.
        cache: the prediction cache.
        executor: computes large requests.
        out_of_range: warn about or refuse inputs beyond the range that the model declares; None as the model says.
        features: compute the features of entity requests.
        observers: take the predicted rows.
        logs: the prediction logs, or None.
        bounds: bounds on what one request may ask for.
    """

    def __init__(
        self,
        repository: Repository,
        metrics: Metrics,
        counters: BatchedCounters,
        cache: PredictionCache[Row],
        executor: Executor,
        out_of_range: Policy | None,
        features: FeatureSets,
        observers: Sequence[Observer],
        logs: PredictionLogs | None = None,
        bounds: Bounds = _BOUNDS,
    ) -> None:
        self.bounds = bounds
        self.repository = repository
        self.executor = executor
        self.counters = RowCounters(metrics, counters)
        self._cache = cache
        self._ranges = Ranges(metrics, out_of_range)
        self._features = features
        self._observers = observers
        self._logs = logs
        self._shadow = Shadow(metrics, self._compute_shadow)

    def predict_row(self, model: Model, values: Array, entity: str | None = None) -> tuple[Row, list[str]]:
        """Predict one row of features (f,) with its warnings, by the fast path; only in the event loop's thread.

        Raises:
            HTTPError: a value is out of range, and the policy refuses that.
        """
        # By its bytes: NaN differs from itself, so the cache would never find it.
        key = (model.digest, values.tobytes(), entity if model.by_entity else None) if self._cache.size else None
        row = self._cache.get(key) if key is not None else None
        warnings: list[str] = []
        if row is None:
            row = model.row(values, entity)
            outside = model.row_outside()
            if outside:
                warnings = self._ranges.check_row(model, outside)
            # Rows out of range are not cached: their warnings must be repeated and counted.
            elif key is not None:
                self._cache.put(key, row)
        counters = self.counters.of(model)
        counters.rows.n += 1
        if row.decision is not None:
            counters.decisions[row.decision].n += 1
        for observer in self._observers:
            observer.see_row(model, values)
        return row, warnings

    async def predict_request(self, bundle: Bundle, model: Model, request: EntityRequest) -> tuple[Row, list[str]]:
        """Predict one entity request with its warnings, by the fast path; only in the event loop's thread.

        Raises:
            HTTPError: as `predict_row` and `predict`.
        """
        history_warnings: list[str] = []
        with _feature_errors():
            features = await self._features.of(bundle.use_case).row(model, request, history_warnings)
        row, warnings = self.predict_row(model, features, request.entity)
        if unseen := model.unseen(request.entity):
            warnings = [*warnings, unseen]
        row = _priced(model, row, request)
        if self._logs is not None:
            self._logs.put(bundle, model, request, row)
        return row, history_warnings + warnings

    async def predict(self, bundle: Bundle, name: str, instances: Instances) -> Answer:
        """Predict instances by the model `name` of the bundle.

        Raises:
            HTTPError: the features cannot be computed, or a value is out of range and the policy refuses that.
        """
        history_warnings: list[str] = []
        rows = await self._rows(bundle, name, instances, history_warnings)
        warnings = _shortened(list(dict.fromkeys(history_warnings)))
        for target, part in rows.items():
            warnings += await self._check_ranges(bundle.targets[target], part.X)
            warnings += _unseen(bundle.targets[target], part)
        answer = Answer(bundle, await self._predict_rows(bundle, rows), list(dict.fromkeys(warnings)))
        for target, predictions in answer.outcomes.items():
            self.counters.count(bundle.targets[target], predictions)
            await self._observe(bundle, target, rows[target].X, instances, predictions)
        # After the answer is complete, so that the shadow cannot delay or change it.
        shadow = self.repository.shadow(name)
        if shadow is not None:
            self._shadow.begin(shadow, name, instances, bundle, answer.outcomes)
        return answer

    async def explain(self, bundle: Bundle, name: str, instances: Instances) -> AsyncIterator[Explanation]:
        """Explain the predictions of instances by the model `name` of the bundle, some rows at a time.

        Raises:
            HTTPError: the features cannot be computed, or the model has no explanation (422).
        """
        rows = await self._rows(bundle, name, instances, [])
        for at in range(0, len(instances), _EXPLAINED):
            parts = {}
            for target, part in rows.items():
                some = _sliced(part, at, at + _EXPLAINED)
                explain = partial(bundle.targets[target].explain, some)
                try:
                    parts[target] = await self._run(len(some.X) * _EXPLANATION_COST, explain)
                except ModelError as error:
                    message = f"{target}: {str(error).splitlines()[0]}"
                    raise HTTPError(HTTPStatus.UNPROCESSABLE_ENTITY, message) from error
            yield Explanation(bundle, parts)

    async def _rows(self, bundle: Bundle, name: str, instances: Instances, warnings: list[str]) -> dict[str, Rows]:
        """Return the rows of each target."""
        self.bounds.check_rows(len(instances))
        models = [bundle.targets[name]] if name in bundle.targets else list(bundle.targets.values())
        # A list holds entity requests, a matrix the features themselves.
        if isinstance(instances, list):
            with _feature_errors():
                return await self._features.of(bundle.use_case).rows(models, instances, warnings)
        for model in models:
            if model.predictor.history:
                message = f"{model.name} predicts from the history of a series; ask by entity and time, or with history"
                raise invalid(message)
        if name in bundle.targets:
            return {name: Rows(instances)}
        return await self._run(len(instances), partial(_split, bundle, instances))

    async def _predict_rows(self, bundle: Bundle, rows: dict[str, Rows]) -> dict[str, Predictions]:
        models = bundle.targets
        return {
            name: await self._run(len(part.X) * models[name].row_cost, partial(models[name].predict, part))
            for name, part in rows.items()
        }

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do the work in a thread, so that single rows do not wait for it."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, work)

    async def _run(self, rows: int, work: Callable[[], T]) -> T:
        return work() if rows < LARGE else await self.in_thread(work)

    async def _observe(
        self, bundle: Bundle, target: str, X: Array, instances: Instances, predictions: Predictions
    ) -> None:
        """Pass the rows to the observers, and the entity requests to the log; others are answered in between."""
        model = bundle.targets[target]
        requests = instances if self._logs is not None and isinstance(instances, list) else []
        rows = await self._run(len(requests), predictions.rows) if requests else []
        for at in range(0, len(X), LARGE):
            if at:
                await asyncio.sleep(0)
            for observer in self._observers:
                observer.see(model, X[at : at + LARGE])
            for request, row in zip(requests[at : at + LARGE], rows[at : at + LARGE], strict=True):
                if self._logs is not None:
                    self._logs.put(bundle, model, request, row)

    async def _check_ranges(self, model: Model, X: Array) -> list[str]:
        if not model.columns.has_ranges:
            return []
        return self._ranges.check(model, await self._run(len(X), partial(model.columns.outside, X, NAMED)))

    async def _compute_shadow(self, shadow: Bundle, name: str, instances: Instances) -> dict[str, Predictions]:
        outcomes = await self._predict_rows(shadow, await self._rows(shadow, name, instances, []))
        for target, predictions in outcomes.items():
            self.counters.count(shadow.targets[target], predictions)
        return outcomes


def _priced(model: Model, row: Row, request: EntityRequest) -> Row:
    """Return a row with the stake and signal that follow from its request's prices.

    Raises:
        HTTPError: prices that are no numbers, or that the model does not take.
    """
    if request.prices is None:
        return row
    location = f"{request.location}.prices"
    if not isinstance(request.prices, dict):
        raise invalid(f"{location}: expected an object of prices")
    try:
        return model.at_prices(row, {name: number(v, f"{location}.{name}") for name, v in request.prices.items()})
    except ModelError as error:
        raise invalid(f"{location}: {error}") from error


@contextmanager
def _feature_errors() -> Iterator[None]:
    """Turn errors of the feature engine into answers."""
    try:
        yield
    except FeatureError as error:
        raise invalid(str(error)) from error
    except ModelError as error:
        message = f"features are not computed for this model: {str(error).splitlines()[0]}"
        raise HTTPError(HTTPStatus.NOT_IMPLEMENTED, message) from error


def _unseen(model: Model, rows: Rows) -> list[str]:
    """Return a warning for each entity that training has not seen."""
    if model.learned is None or rows.entity is None:
        return []
    found = (model.unseen(entity) for entity in dict.fromkeys(rows.entity))
    return _shortened([text for text in found if text], "entities are unseen")


def _sliced(rows: Rows, start: int, stop: int) -> Rows:
    past = None if rows.past is None else rows.past[start:stop]
    return Rows(rows.X[start:stop], past, None if rows.entity is None else rows.entity[start:stop])


def _split(bundle: Bundle, X: Array) -> dict[str, Rows]:
    # The compiled trees read rows from consecutive memory.
    return {target: Rows(np.ascontiguousarray(X[:, places])) for target, places in bundle.places.items()}


def _shortened(warnings: list[str], more: str = "rows look back on as little") -> list[str]:
    rest = len(warnings) - NAMED
    return warnings if rest <= 0 else [*warnings[:NAMED], f"{rest} more {more}"]
