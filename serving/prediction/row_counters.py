"""Counters of the predicted rows and of their decisions, by model."""

from collections import Counter

from almanac.model.model import Model
from almanac.model.prediction import Predictions
from monitoring.metrics import ROWS, SIGNALS, Metrics
from serving.prediction.traffic import Traffic
from serving.runtime.batched_counters import BatchedCounters


class ModelCounters:
    """The counters of one model, looked up once."""

    def __init__(self, model: Model, metrics: Metrics, counters: BatchedCounters) -> None:
        labels, decisions = (model.name, model.version), metrics.counter(SIGNALS)
        self.rows = counters.counter(metrics.counter(ROWS).labels(*labels))
        self.decisions = {name: counters.counter(decisions.labels(*labels, name)) for name in model.signal_names}


class RowCounters:
    """The counters of every model that is served.

    Args:
        metrics: the metrics.
        counters: batches the metrics of the hot path.
    """

    def __init__(self, metrics: Metrics, counters: BatchedCounters) -> None:
        self._metrics = metrics
        self._batched = counters
        self._counters: dict[str, ModelCounters] = {}
        self._served: dict[str, set[str]] = {}

    def of(self, model: Model) -> ModelCounters:
        """Return the counters of a model."""
        return self._counters.get(model.digest) or self._add(model)

    def count(self, model: Model, predictions: Predictions) -> None:
        """Count predictions and their decisions."""
        counters = self.of(model)
        counters.rows.n += len(predictions.prediction)
        for decision, count in Counter(predictions.decision or []).items():
            counters.decisions[decision].n += count

    def follow(self, use_case: str, traffic: Traffic | None) -> None:
        """Forget the counters of versions that are no longer served."""
        bundles = traffic.bundles if traffic else []
        self._served[use_case] = {model.digest for bundle in bundles for model in bundle.targets.values()}
        served = set().union(*self._served.values())
        self._counters = {digest: found for digest, found in self._counters.items() if digest in served}

    def _add(self, model: Model) -> ModelCounters:
        counters = self._counters[model.digest] = ModelCounters(model, self._metrics, self._batched)
        return counters
