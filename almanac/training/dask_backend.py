"""The Dask backend: LightGBM's own Dask learner on feature rows that are kept on the workers of a cluster.

A seeded draw distributes the rows to the workers, once for all fits: each worker holds a sample of the whole, from
which LightGBM finds the bins of its share of the features. Histograms are summed in the order of the workers. So the
same table, use case, number of workers, threads per worker and libraries give the same trees, independent of the
workers' addresses and timing.
"""

import re
import threading
import warnings
from dataclasses import dataclass, field
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.core.dask_workers import Workers
from almanac.core.errors import TrainingError
from almanac.training.problem import BLOCK, Rows

#: Network settings that the learner writes into a model, whose bytes must not depend on free ports.
_NETWORK = {"num_machines": "1", "local_listen_port": "12400", "time_out": "120", "machines": ""}
#: Minutes after which a worker gives up on one that does not answer.
_TIME_OUT = 30
#: A worker needs this many rows to find usable bins.
_FEWEST = 20


class _InOrder:
    """Dask's client with `who_has` in the order of its argument, by which LightGBM numbers the workers."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def who_has(self, futures: list[Any]) -> dict[str, Any]:
        holders = self._client.who_has(futures)
        return {future.key: holders[future.key] for future in futures}


@dataclass
class DaskGrower:
    """Grows boosters on rows of the feature matrix that the workers hold.

    Args:
        workers: the workers that hold the rows.
        names: ordered feature names.
        X: features, shape (n, f); read a block at a time, and sent once.
        seed: seed of the draw that distributes the rows.
    """

    workers: Workers
    names: list[str]
    X: Array
    seed: int
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        count = len(self.workers.addresses)
        # Drawn and not cut: the oldest rows on one worker would give LightGBM skewed bins.
        self._owner = np.random.default_rng(self.seed).integers(0, count, len(self.X), np.int32)
        self._held = [np.flatnonzero(self._owner == rank) for rank in range(count)]
        self._pieces: list[list[Any]] = [[] for _ in range(count)]
        self.workers.watch(self._place)

    def _place(self) -> None:
        for start in range(0, len(self.X), BLOCK):
            block, owner = self.X[start : start + BLOCK], self._owner[start : start + BLOCK]
            for rank in range(len(self._pieces)):
                self._pieces[rank].append(self._send(np.asarray(block[owner == rank]), rank))

    def __call__(
        self, rows: Rows, label: Array, parameters: dict[str, Any], rounds: int, seeds: list[int]
    ) -> list[lightgbm.Booster]:
        """Return one booster for each seed, as `almanac.training.problem.TreeGrower` says.

        Raises:
            TrainingError: too few rows for so many workers.
            WorkerError: a worker was lost.
        """

        def grow() -> list[lightgbm.Booster]:
            X, y = self._chosen(rows, label)
            return [self._grow(X, y, {**parameters, "n_estimators": rounds, "seed": seed}) for seed in seeds]

        # A worker's process takes part in one network at a time.
        with self._lock:
            return self.workers.watch(grow)

    def _send(self, value: npt.NDArray[Any], rank: int) -> Any:
        # Under random keys, since blocks of equal content on two workers would share one that follows from the content.
        return self.workers.client.scatter(value, workers=[self.workers.addresses[rank]], hash=False)

    def _chosen(self, rows: Rows, label: Array) -> tuple[Any, Any]:
        """Return features and label of some rows as Dask arrays, one block a worker."""
        import dask.array as da
        from dask.delayed import delayed

        X, y, owner = [], [], self._owner[rows]
        for rank, pieces in enumerate(self._pieces):
            mine = rows[owner == rank]
            if mine.size < _FEWEST:
                raise TrainingError(
                    f"{rows.size} rows give worker {rank + 1} of {len(self._pieces)} no more than {mine.size}; "
                    "lower training.dask.workers"
                )
            # Positions are sent and not rows, which are on the worker already.
            places = self._send(np.searchsorted(self._held[rank], mine), rank)
            features = self.workers.client.submit(
                take, pieces, places, workers=[self.workers.addresses[rank]], pure=False
            )
            X.append(da.from_delayed(delayed(features), (mine.size, len(self.names)), np.float64))
            y.append(da.from_delayed(delayed(self._send(label[owner == rank], rank)), (mine.size,), np.float64))
        return da.concatenate(X), da.concatenate(y)

    def _grow(self, X: Any, y: Any, parameters: dict[str, Any]) -> lightgbm.Booster:
        # One class serves all objectives, since it makes no predictions here; the worker sets the threads.
        settings = {name: value for name, value in parameters.items() if name != "num_threads"}
        client: Any = _InOrder(self.workers.client)
        model = lightgbm.DaskLGBMRegressor(client=client, time_out=_TIME_OUT, **settings)

        with warnings.catch_warnings():
            # The learner warns of a parameter that its own constructor has set.
            warnings.filterwarnings("ignore", "Parameter n_jobs will be ignored", UserWarning)
            model.fit(X, y, feature_name=self.names)
        return lightgbm.Booster(model_str=without_network(model.booster_.model_to_string(num_iteration=-1)))


def take(pieces: list[Array], places: Rows) -> Array:
    """Return rows of the pieces one below the other, on the worker that holds them; shape (places, f)."""
    starts = np.cumsum([0, *(len(piece) for piece in pieces)])
    cuts = np.searchsorted(places, starts)
    parts = zip(pieces, starts, cuts, cuts[1:], strict=False)
    return np.concatenate([piece[places[a:b] - start] for piece, start, a, b in parts])


def without_network(text: str) -> str:
    """Return a model's text without addresses and ports, as one machine would have written it."""
    for name, value in _NETWORK.items():
        text = re.sub(rf"^\[{name}: .*\]$", f"[{name}: {value}]", text, flags=re.MULTILINE)
    return text
