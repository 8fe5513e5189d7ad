"""The stored rows that requests by entity and time look back on."""

from collections.abc import Callable

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from serving.features.records import EntityRequest
from serving.features.row_layout import FeaturePlan, RowReader
from serving.features.store.base import RowsDroppedError
from serving.features.store.observations import DEFAULT_ENTITY, ONE_SERIES, Ingestor
from serving.features.values import shortened
from serving.runtime.errors import HTTPError, invalid, stale, unavailable

#: Step of a request, and the stored rows (k, n) up to it; None if the request brings its history.
Window = tuple[int, Array | None]


class StoredWindows:
    """Fetches the rows of requests from the store.

    Args:
        grid: returns the store of rows on a grid; raises an HTTPError where this process has none.
    """

    def __init__(self, grid: Callable[[], Ingestor]) -> None:
        self._grid = grid

    def reader(self, plan: FeaturePlan) -> RowReader:
        """Return the reader of the store's rows for a plan, which may be of a later version than the store's layout."""
        if plan.stored is not None:
            return plan.stored
        ingestor = self._grid()
        try:
            return plan.read_store(ingestor.schema, ingestor.entity, ingestor.store.most)
        except ModelError as error:
            message = f"{plan.name}: the feature store of this process keeps {error}; restart it with this version"
            raise unavailable(message) from error

    async def one(self, plan: FeaturePlan, request: EntityRequest) -> Window:
        """Return the step of a request and its stored rows.

        Raises:
            HTTPError: as `of`.
        """
        step = _step(plan, request)
        if request.history is not None:
            return step, None
        self.reader(plan)
        entity = entity_of(plan, request)
        try:
            window = await self._grid().store.window(entity, step, plan.history)
        except RowsDroppedError as error:
            raise _dropped(plan, error) from error
        if _is_absent(plan, window):
            raise await self._absent(plan, entity, step)
        return step, window

    async def of(self, plans: list[FeaturePlan], requests: list[EntityRequest]) -> list[Window]:
        """Return the step of each request, and its stored rows for the plan that looks back furthest.

        Raises:
            HTTPError: a time off the grid, or rows that were never observed, are no longer kept, or cannot be read.
        """
        longest = max(plan.history for plan in plans)
        for plan in plans:
            if plan.schema.grid != plans[0].schema.grid or plan.entity != plans[0].entity:
                raise ModelError(f"{plan.name}: its times or entities differ from those of {plans[0].name}")
        steps = [_step(plans[0], request) for request in requests]
        keys = [
            (entity_of(plans[0], request), step) if request.history is None else None
            for request, step in zip(requests, steps, strict=True)
        ]
        # Several requests for one entity and time, as for all targets, fetch one window.
        distinct = list(dict.fromkeys(key for key in keys if key is not None))
        if not distinct:
            return [(step, None) for step in steps]
        for plan in plans:
            self.reader(plan)
        try:
            windows = await self._grid().store.windows([(entity, step, longest) for entity, step in distinct])
        except RowsDroppedError as error:
            raise _dropped(max(plans, key=lambda plan: plan.history), error) from error
        for plan in plans:
            for key, window in zip(distinct, windows, strict=True):
                if _is_absent(plan, window):
                    raise await self._absent(plan, *key)
        rows = dict(zip(distinct, windows, strict=True))
        return [(step, None if key is None else rows[key]) for step, key in zip(steps, keys, strict=True)]

    async def _absent(self, plan: FeaturePlan, entity: str, step: int) -> HTTPError:
        if plan.entity is None and entity != DEFAULT_ENTITY:
            return stale(f"entity {shortened(entity)}: {ONE_SERIES}")
        newest = await self._grid().store.newest(entity)
        schema, step = plan.schema, step - plan.cutoff
        new = "it was never observed, and a new entity is answered from its own history"
        last = new if newest is None else f"its newest one is of {schema.time_text(newest)}"
        return stale(f"entity {entity!r} has no observation of {schema.time_text(step)}; {last}; see :ingest")


def _dropped(plan: FeaturePlan, error: RowsDroppedError) -> HTTPError:
    """Return the error for a time that looks back on rows which the store no longer has."""
    kept, first = error.kept_from, error.kept_from + plan.history - 1
    return stale(
        f"entity {error.entity!r}: observations before {plan.schema.time_text(kept)} are no longer kept, and the model "
        f"looks back on {plan.history}; the first time that can be asked for is {plan.schema.time_text(first)}; for an "
        "earlier one send its history"
    )


def _step(plan: FeaturePlan, request: EntityRequest) -> int:
    return plan.schema.step_of(request.time, f"{request.location}.time")


def _is_absent(plan: FeaturePlan, window: Array) -> bool:
    """Return whether the newest usable row is missing."""
    return bool(np.isnan(window[:, -1 - plan.cutoff]).all())


def entity_of(plan: FeaturePlan, request: EntityRequest) -> str:
    """Return the entity of a request, which a table of one series has no name for; 400 where it is missing."""
    if request.entity is None and plan.entity is not None:
        raise invalid(f"{request.location}: missing field entity")
    return request.entity if request.entity is not None else DEFAULT_ENTITY
