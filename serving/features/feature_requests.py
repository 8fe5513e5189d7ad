"""Features at request time, from the feature store or from the history in the request."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import ServingError
from almanac.model.bundle import Bundle
from almanac.model.model import Model
from almanac.model.predictor import Rows
from serving.features.data_freshness import DataFreshness
from serving.features.event_store import EventStore, has_events
from serving.features.history import read_history
from serving.features.history_coverage import check_coverage
from serving.features.records import EntityRequest
from serving.features.row_layout import FeaturePlan, RowReader
from serving.features.store.base import StoreUnavailableError
from serving.features.store.observations import Ingestor
from serving.features.stored_windows import StoredWindows, Window, entity_of
from serving.runtime.errors import HTTPError, unavailable

#: Requests whose history is fetched together; between two pieces of a large body others are answered.
PIECE = 16


class Features:
    """Computes the features of requests by entity and time, or with their history.

    The feature engine and the store are opened on first use or by `warm`: a server that only gets rows by name starts
    faster and stays smaller. The store keeps the layout of the version that opened it; later versions find their
    columns and categories by name.

    Args:
        open_ingestor: opens the store; called once.
        freshness: the metrics of the data's age.
        executor: computes the features of large requests.

    Attributes:
        filling: the table that the store is being filled from; "" when it is not.
    """

    def __init__(
        self, open_ingestor: Callable[[], Ingestor | EventStore], freshness: DataFreshness, executor: Executor
    ) -> None:
        self._open = open_ingestor
        self._opened: Ingestor | EventStore | None = None
        self._lock = threading.Lock()
        self._freshness = freshness
        self._executor = executor
        self._plans: dict[str, FeaturePlan] = {}
        self._windows = StoredWindows(lambda: self._grid)
        self.filling = ""

    @property
    def ingestor(self) -> Ingestor | EventStore:
        """The feature store with its raw columns.

        Raises:
            HTTPError: it cannot be opened now (503); the next request tries again.
        """
        if self._opened is None:
            # The background warm-up and the first request may both open the store.
            with self._lock:
                try:
                    self._opened = self._opened or self._open()
                except StoreUnavailableError as error:
                    raise unavailable(f"the feature store cannot be opened: {error}") from error
        return self._opened

    @property
    def history(self) -> int:
        """Steps that the longest look-back of a plan needs; 1 before the first plan."""
        return max([1, *(plan.history for plan in self._plans.values())])

    def warm(self, bundle: Bundle) -> None:
        """Open everything that the first entity request would wait for; a model without raw columns has nothing."""
        if not any(item.get("type") == "timestamp" for m in bundle.targets.values() for item in m.signature["inputs"]):
            return
        for model in bundle.targets.values():
            if not has_events(model):
                self._plan(model)
            elif isinstance(self.ingestor, EventStore):
                self.ingestor.check(model)
        _ = self.ingestor

    async def ask_store(self) -> None:
        """Ask the store for anything, if it was opened.

        Raises:
            HTTPError: it does not answer (503).
        """
        if self._opened is not None:
            await self._opened.store.newest(None)

    def keep(self, bundles: Iterable[Bundle]) -> None:
        """Keep the plans of these versions only."""
        served = {model.digest for bundle in bundles for model in bundle.targets.values()}
        self._plans = {digest: plan for digest, plan in self._plans.items() if digest in served}

    def check(self, bundle: Bundle) -> None:
        """Check that a version which is to take over can read the store; from any thread.

        Raises:
            ModelError: its features cannot be computed.
            ServingError: the open store lacks something that they are computed from.
        """
        if self._opened is None:
            return  # it will be opened for the version in service then
        for model in bundle.targets.values():
            try:
                if isinstance(self._opened, EventStore) or has_events(model):
                    self._events(model).check(model)
                    continue
                self._windows.reader(self._plan(model))
            except HTTPError as error:
                raise ServingError(str(error)) from error

    async def close(self) -> None:
        """Close the store, if it was opened."""
        if self._opened is not None:
            await self._opened.store.close()

    async def update_freshness(self, bundle: Bundle) -> None:
        """Update the metrics of the data's age, if a store was opened."""
        if self._opened is not None:
            present = {name: model.signature.get("as_of") for name, model in bundle.targets.items()}
            await self._freshness.update(self._opened.store, self._opened.schema, present)

    async def rows(
        self, models: Sequence[Model], requests: list[EntityRequest], warnings: list[str]
    ) -> dict[str, Rows]:
        """Return the rows of each model by name; each history is fetched once for all of them.

        Warnings about the history, such as many gaps, are added to `warnings`.

        Raises:
            HTTPError: a time off the grid, a history that breaks a rule, or data that are not available.
        """
        self._require_filled(requests)
        if any(has_events(model) for model in models):
            return {
                model.name: Rows(np.array([self._events(model).row(model, one) for one in requests]))
                for model in models
            }
        plans = [self._plan(model) for model in models]
        count = len(requests)
        X = [np.empty((count, len(model.columns.names))) for model in models]
        past = [np.empty((count, plan.past)) if plan.past else None for plan in plans]
        for at in range(0, count, PIECE):
            piece = requests[at : at + PIECE]
            windows = await self._windows.of(plans, piece)
            work = partial(self._fill, at, X, past, plans, piece, windows, warnings)
            # A few requests take less time than a thread's start.
            if count <= PIECE:
                work()
            else:
                await asyncio.get_running_loop().run_in_executor(self._executor, work)
        return {
            plan.name: Rows(X[at], past[at], [entity_of(plan, one) for one in requests] if plan.entity else None)
            for at, plan in enumerate(plans)
        }

    async def row(self, model: Model, request: EntityRequest, warnings: list[str]) -> Array:
        """Return the features (f,) of one request, for a model that predicts from features only.

        Raises:
            HTTPError: as `rows`.
        """
        self._require_filled([request])
        if has_events(model):
            return self._events(model).row(model, request)
        plan = self._plan(model)
        step, window = await self._windows.one(plan, request)
        reader, rows = self._raw_rows(plan, request, window, warnings)
        return plan.row(reader, rows, step, window is not None)

    def _require_filled(self, requests: list[EntityRequest]) -> None:
        """Refuse requests that a part of the history would answer (503)."""
        if self.filling and any(request.history is None for request in requests):
            raise unavailable(f"the feature store is still being filled from {self.filling}")

    def _fill(
        self,
        first: int,
        X: list[Array],
        past: list[Array | None],
        plans: list[FeaturePlan],
        requests: list[EntityRequest],
        windows: list[Window],
        warnings: list[str],
    ) -> None:
        """Write the rows of each plan, from row `first` on."""
        for features, values, plan in zip(X, past, plans, strict=True):
            for at, (request, (step, window)) in enumerate(zip(requests, windows, strict=True), first):
                # The window is as long as the longest plan needs.
                stored = None if window is None else window[:, -plan.history :]
                reader, rows = self._raw_rows(plan, request, stored, warnings)
                features[at] = plan.row(reader, rows, step, stored is not None)
                if values is not None:
                    values[at] = plan.past_values(reader, rows)

    def _raw_rows(
        self, plan: FeaturePlan, request: EntityRequest, window: Array | None, warnings: list[str]
    ) -> tuple[RowReader, Array]:
        """Return the raw rows (k, history), stored or from the request, with their reader."""
        if window is None:
            reader, rows = plan.own, read_history(plan, request)
        else:
            reader, rows = self._windows.reader(plan), window
        # Rows newer than the cutoff are not used, so they do not count.
        usable = rows[:, : plan.history - plan.cutoff]
        if warning := check_coverage(usable, request, reader.complete_column):
            warnings.append(warning)
        return reader, rows

    def _events(self, model: Model) -> EventStore:
        """Return the store of events."""
        if not isinstance(self.ingestor, EventStore):
            raise unavailable(f"{model.name}: this process keeps rows of a grid; restart it with this version")
        return self.ingestor

    @property
    def _grid(self) -> Ingestor:
        """The store of rows on a grid."""
        if isinstance(self.ingestor, EventStore):
            raise unavailable("this process keeps events; restart it with this version")
        return self.ingestor

    def _plan(self, model: Model) -> FeaturePlan:
        plan = self._plans.get(model.digest)
        if plan is None:
            plan = self._plans[model.digest] = FeaturePlan(model)
        return plan
