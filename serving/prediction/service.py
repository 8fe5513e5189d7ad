"""What every protocol calls: predict and explain by model name, with cache, metrics, shadow and drift beside."""

import asyncio
from collections import Counter as Counts
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from almanac.core.errors import FeatureError, ModelError
from almanac.model.bundle import Bundle
from almanac.model.model import Model as Target
from almanac.model.prediction import Predictions, Row
from monitoring.metrics import ROWS, SIGNALS, Metrics
from serving.features.records import EntityRequest, Values
from serving.prediction.cache import PredictionCache
from serving.prediction.prediction_log import PredictionLog
from serving.prediction.ranges import NAMED, Policy, Ranges
from serving.prediction.repository import Repository
from serving.prediction.shadow import Shadow
from serving.runtime.batched_counters import BatchedCounters
from serving.runtime.errors import HTTPError, invalid

Array = npt.NDArray[np.float64]

LARGE = 128
"""Rows from which a request is computed in a thread, so that single rows do not wait for it."""


def _shortened(notes: list[str]) -> list[str]:
    rest = len(notes) - NAMED
    return notes if rest <= 0 else [*notes[:NAMED], f"{rest} more rows look back on as little"]


def _parts(bundle: Bundle, given: Array) -> dict[str, Array]:
    return {target: np.ascontiguousarray(given[:, places]) for target, places in bundle.places.items()}


class FeatureSource(Protocol):
    """Computes the features of moments; see `serving.features.feature_requests`."""

    async def matrices(
        self, targets: Sequence[Target], moments: list[EntityRequest], notes: list[str]
    ) -> dict[str, Array]:
        """Return the features (n, f) of each target, and add to `notes` what the answer should tell."""
        ...

    async def row(self, target: Target, moment: EntityRequest, notes: list[str]) -> Array:
        """Return the features (f,) of the target for one moment, and add to `notes` what the answer should tell."""
        ...


class Observer(Protocol):
    """Sees the rows that were predicted; see `serving.operations.live_drift`."""

    def see(self, target: Target, rows: Array | list[Values]) -> None:
        """Take the rows."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """Rowss by target, in the order of the bundle, and what was noticed."""

    bundle: Bundle
    outcomes: dict[str, Predictions]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Contributions (n, f) and base value of each target, with the predictions that they explain."""

    bundle: Bundle
    parts: dict[str, tuple[Array, float, Array]]


class _Counts:
    """The counters of one target, looked up once."""

    def __init__(self, target: Target, metrics: Metrics, tally: BatchedCounters) -> None:
        labels, signals = (target.name, target.version), metrics.counter(SIGNALS)
        self.rows = tally.counter(metrics.counter(ROWS).labels(*labels))
        self.signals = {name: tally.counter(signals.labels(*labels, name)) for name in target.signal_names}


@contextmanager
def _features_refused() -> Iterator[None]:
    """Answer features that cannot be computed as the protocols do."""
    try:
        yield
    except FeatureError as error:
        raise invalid(str(error)) from error
    except ModelError as error:
        message = f"features are not computed for this model: {str(error).splitlines()[0]}"
        raise HTTPError(HTTPStatus.NOT_IMPLEMENTED, message) from error


class Service:
    """Predictions by model name.

    Args:
        repository: the models.
        metrics: where to count.
        tally: takes the counts of the hot path.
        cache: the prediction cache.
        executor: where large requests are computed.
        out_of_range: warn about or refuse inputs beyond the range that the model declares; None as the model says.
        features: computes features of requests by entity or history.
        observers: see what was predicted.
        journal: keeps the predictions of moments; None for nobody.
    """

    def __init__(
        self,
        repository: Repository,
        metrics: Metrics,
        tally: BatchedCounters,
        cache: PredictionCache[Row],
        executor: Executor,
        out_of_range: Policy | None,
        features: FeatureSource,
        observers: list[Observer],
        journal: PredictionLog | None = None,
    ) -> None:
        self.repository = repository
        self.metrics = metrics
        self.executor = executor
        self._tally = tally
        self._cache = cache
        self._outside = Ranges(metrics, out_of_range)
        self._features = features
        self._observers = observers
        self._journal = journal
        self._counts: dict[str, _Counts] = {}
        self._shadow = Shadow(metrics, self._compute_beside)

    def row(self, target: Target, values: Values) -> tuple[Row, list[str]]:
        """Predict one row by the shortest way; for the event loop's thread alone.

        Raises:
            HTTPError: a value is out of range, and the policy refuses that.
        """
        found = self._cache.get((target.digest, values)) if self._cache.size else None
        warnings: list[str] = []
        if found is None:
            found = target.row(values)
            outside = target.row_outside()
            if outside:
                warnings = self._outside.one(target, outside)
            elif self._cache.size:
                self._cache.put((target.digest, values), found)
        counts = self._counts.get(target.digest) or self._count(target)
        counts.rows.n += 1
        if found.decision is not None:
            counts.signals[found.decision].n += 1
        for observer in self._observers:
            observer.see(target, [values])
        return found, warnings

    async def moment(self, target: Target, moment: EntityRequest) -> tuple[Row, list[str]]:
        """Predict the row of one moment by the shortest way; for the event loop's thread alone.

        Raises:
            HTTPError: as `row` and `predict` do.
        """
        notes: list[str] = []
        with _features_refused():
            features = await self._features.row(target, moment, notes)
        values = features.tolist()
        if np.isnan(features).any():  # None for missing, as rows by name have it: NaN is no key to find a row by
            values = [None if value != value else value for value in values]
        row, warnings = self.row(target, tuple(values))
        if self._journal is not None:
            self._journal.put(target, moment, row)
        return row, notes + warnings

    async def predict(self, bundle: Bundle, name: str, given: Array | list[EntityRequest]) -> Answer:
        """Predict the rows for the model `name` of the bundle.

        Raises:
            HTTPError: the features cannot be computed, or a value is out of range and the policy refuses that.
        """
        notes: list[str] = []
        matrices = await self._matrices(bundle, name, given, notes)
        warnings = _shortened(list(dict.fromkeys(notes)))
        for target, X in matrices.items():
            warnings += await self._ranges(bundle.targets[target], X)
        answer = Answer(bundle, await self._predict_all(bundle, matrices), list(dict.fromkeys(warnings)))
        for target, outcome in answer.outcomes.items():
            self._account(bundle.targets[target], outcome)
            await self._show(bundle.targets[target], matrices[target], given, outcome)
        shadow = self.repository.shadow(name)
        if shadow is not None:
            self._shadow.begin(shadow, name, given, bundle, answer.outcomes)
        return answer

    async def explain(self, bundle: Bundle, name: str, given: Array | list[EntityRequest]) -> Explanation:
        """Explain the rows for the model `name` of the bundle.

        Raises:
            HTTPError: the features cannot be computed, or the model has no explanation.
        """
        matrices = await self._matrices(bundle, name, given, [])
        parts = {}
        for target, X in matrices.items():
            try:
                # An explanation costs many predictions; only a few rows of it may hold the event loop.
                parts[target] = await self._run(len(X) * 20, partial(bundle.targets[target].explain, X))
            except ModelError as error:
                raise HTTPError(HTTPStatus.NOT_IMPLEMENTED, f"{target}: {error}") from error
        return Explanation(bundle, parts)

    async def _matrices(
        self, bundle: Bundle, name: str, given: Array | list[EntityRequest], notes: list[str]
    ) -> dict[str, Array]:
        targets = [name] if name in bundle.targets else list(bundle.targets)
        if not isinstance(given, list):
            if name in bundle.targets:
                return {name: given}
            parts: dict[str, Array] = await self._run(len(given), partial(_parts, bundle, given))
            return parts
        with _features_refused():
            return await self._features.matrices([bundle.targets[target] for target in targets], given, notes)

    async def _predict_all(self, bundle: Bundle, matrices: dict[str, Array]) -> dict[str, Predictions]:
        return {name: await self._run(len(X), partial(bundle.targets[name].predict, X)) for name, X in matrices.items()}

    async def _run(self, rows: int, work: Callable[[], Any]) -> Any:
        if rows < LARGE:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self.executor, work)

    async def _show(self, target: Target, X: Array, given: Array | list[EntityRequest], outcome: Predictions) -> None:
        """Let the observers see the rows, and the journal the moments; others are answered in between."""
        moments = given if self._journal is not None and isinstance(given, list) else []
        rows = outcome.rows() if moments else []
        for at in range(0, len(X), LARGE):
            if at:
                await asyncio.sleep(0)
            for observer in self._observers:
                observer.see(target, X[at : at + LARGE])
            for moment, row in zip(moments[at : at + LARGE], rows[at : at + LARGE], strict=True):
                if self._journal is not None:
                    self._journal.put(target, moment, row)

    async def _ranges(self, target: Target, X: Array) -> list[str]:
        if not target.columns.has_ranges:
            return []
        return self._outside.many(target, await self._run(len(X), partial(target.columns.outside, X, NAMED)))

    def _account(self, target: Target, outcome: Predictions) -> None:
        counts = self._counts.get(target.digest) or self._count(target)
        counts.rows.n += len(outcome.prediction)
        for signal, count in Counts(outcome.decision or []).items():
            counts.signals[signal].n += count

    def _count(self, target: Target) -> _Counts:
        counts = self._counts[target.digest] = _Counts(target, self.metrics, self._tally)
        return counts

    async def _compute_beside(
        self, shadow: Bundle, name: str, given: Array | list[EntityRequest]
    ) -> dict[str, Predictions]:
        outcomes = await self._predict_all(shadow, await self._matrices(shadow, name, given, []))
        for target, outcome in outcomes.items():
            self._account(shadow.targets[target], outcome)
        return outcomes
