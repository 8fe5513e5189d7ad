"""Features at request time: from the feature store, or from the history that the request brings, to a row."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np
import numpy.typing as npt

from almanac.core.errors import ModelError, ServingError
from almanac.model.bundle import Bundle
from almanac.model.model import Model as Target
from serving.features.data_freshness import DataFreshness
from serving.features.history import read_history
from serving.features.history_coverage import check_coverage
from serving.features.records import EntityRequest
from serving.features.row_layout import Plan, Reading
from serving.features.store.observations import DEFAULT_ENTITY, Ingestor
from serving.runtime.errors import HTTPError, invalid, stale, unavailable

Array = npt.NDArray[np.float64]

PIECE = 16
"""Moments whose history is fetched together; between two pieces of a large request others are answered."""

Found = tuple[int, Array | None]
"""Step of a moment, and the stored rows (k, n) up to it; None where the request brings its history."""


class Features:
    """Computes the features of requests by entity and time, or with their history.

    The feature engine and the store are opened when they are first needed, or by `warm`: a server that is asked for
    rows by name alone starts sooner and stays smaller. The store keeps the layout that it was opened with; a version
    with another one reads its rows by the names of columns and categories.

    Args:
        open_ingestor: opens the store; called once.
        age: shows how old the data are.
        executor: where the features of large requests are computed.
    """

    def __init__(self, open_ingestor: Callable[[], Ingestor], age: DataFreshness, executor: Executor) -> None:
        self._open = open_ingestor
        self._opened: Ingestor | None = None
        self._lock = threading.Lock()
        self._age = age
        self._executor = executor
        self._plans: dict[str, Plan] = {}

    @property
    def ingestor(self) -> Ingestor:
        """What knows the store and the raw columns."""
        if self._opened is None:
            with self._lock:
                self._opened = self._opened or self._open()
        return self._opened

    @property
    def history(self) -> int:
        """Steps that the longest look-back of a plan needs; 1 before the first one."""
        return max([1, *(plan.history for plan in self._plans.values())])

    def warm(self, bundle: Bundle) -> None:
        """Open everything that a first request by entity would wait for; a model without raw columns has nothing."""
        if not any(item.get("type") == "timestamp" for t in bundle.targets.values() for item in t.signature["inputs"]):
            return
        for target in bundle.targets.values():
            self._plan(target)
        _ = self.ingestor

    def check(self, bundle: Bundle) -> None:
        """Make sure that a version which is to take over can read the store; from any thread.

        Raises:
            ModelError: its features cannot be computed.
            ServingError: the open store does not have what they are made of.
        """
        if self._opened is None:
            return  # it will be opened for the version that answers then
        for target in bundle.targets.values():
            try:
                self._read_store(self._plan(target))
            except HTTPError as refusal:
                raise ServingError(str(refusal)) from refusal

    async def close(self) -> None:
        """Close the store, if it was opened."""
        if self._opened is not None:
            await self._opened.store.close()

    async def show_age(self, bundle: Bundle) -> None:
        """Show how old the newest observation is now; nothing where no store was opened."""
        if self._opened is not None:
            present = {name: target.signature.get("as_of") for name, target in bundle.targets.items()}
            await self._age.show(self._opened.store, self._opened.schema, present)

    async def matrices(
        self, targets: Sequence[Target], moments: list[EntityRequest], notes: list[str]
    ) -> dict[str, Array]:
        """Return the features (n, f) of each target; a history is fetched once for all of them.

        Raises:
            HTTPError: a time off the grid, a history that breaks a rule, or data that are not there.
        """
        plans = [self._plan(target) for target in targets]
        made = {target.name: np.empty((len(moments), len(target.columns.names))) for target in targets}
        for at in range(0, len(moments), PIECE):
            piece = moments[at : at + PIECE]
            found = await self._windows(plans, piece)
            work = partial(self._fill, [X[at : at + PIECE] for X in made.values()], plans, piece, found, notes)
            if len(moments) <= PIECE:
                work()
            else:
                await asyncio.get_running_loop().run_in_executor(self._executor, work)
        return made

    async def row(self, target: Target, moment: EntityRequest, notes: list[str]) -> Array:
        """Return the features (f,) of the target for one moment; raises as `matrices` does.

        What a reader of the answer should know, such as a history with many holes, is added to `notes`.
        """
        plan = self._plan(target)
        step = _step(plan, moment)
        window = None
        if moment.history is None:
            self._read_store(plan)
            entity = _entity(plan, moment)
            window = await self.ingestor.store.window(entity, step, plan.history)
            if _is_absent(plan, window):
                raise await self._absent(plan, entity, step)
        return self._features(plan, moment, step, window, notes)

    async def _windows(self, plans: list[Plan], moments: list[EntityRequest]) -> list[Found]:
        """Return where each moment lies, and the stored rows that it looks back on, for the plan that needs most."""
        longest = max(plan.history for plan in plans)
        for plan in plans:
            if plan.schema.step != plans[0].schema.step or plan.entity != plans[0].entity:
                raise ModelError(f"{plan.name}: its times or entities differ from those of {plans[0].name}")
        steps = [_step(plans[0], moment) for moment in moments]
        keys = [
            (_entity(plans[0], m), step) if m.history is None else None for m, step in zip(moments, steps, strict=True)
        ]
        wanted = list(dict.fromkeys(key for key in keys if key is not None))
        if not wanted:
            return [(step, None) for step in steps]
        for plan in plans:
            self._read_store(plan)
        found = await self.ingestor.store.windows([(entity, step, longest) for entity, step in wanted])
        for plan in plans:
            for key, window in zip(wanted, found, strict=True):
                if _is_absent(plan, window):
                    raise await self._absent(plan, *key)
        rows = dict(zip(wanted, found, strict=True))
        return [(step, None if key is None else rows[key]) for step, key in zip(steps, keys, strict=True)]

    def _fill(
        self, made: list[Array], plans: list[Plan], moments: list[EntityRequest], found: list[Found], notes: list[str]
    ) -> None:
        """Write the features (n, f) of each plan."""
        for X, plan in zip(made, plans, strict=True):
            for at, (moment, (step, window)) in enumerate(zip(moments, found, strict=True)):
                rows = None if window is None else window[:, -plan.history :]
                X[at] = self._features(plan, moment, step, rows, notes)

    def _features(self, plan: Plan, moment: EntityRequest, step: int, window: Array | None, notes: list[str]) -> Array:
        """Return the features (f,) from the stored rows (k, history), or from those that the request brings."""
        if window is None:
            reading, rows = plan.own, read_history(plan, moment)
        else:
            reading, rows = self._read_store(plan), window
        # What is newer than the cutoff must not be seen, and is not counted.
        if note := check_coverage(rows[:, : plan.history - plan.cutoff], moment, reading.witness):
            notes.append(note)
        return plan.row(reading, rows, step, window is not None)

    def _plan(self, target: Target) -> Plan:
        plan = self._plans.get(target.digest)
        if plan is None:
            plan = self._plans[target.digest] = Plan(target)
        return plan

    def _read_store(self, plan: Plan) -> Reading:
        """Return what reads the store's rows for a plan, which may be of a later version than the store's layout."""
        if plan.stored is not None:
            return plan.stored
        ingestor = self.ingestor
        try:
            return plan.read_store(ingestor.schema, ingestor.entity, ingestor.store.most)
        except ModelError as error:
            message = f"{plan.name}: the feature store of this process keeps {error}; restart it with this version"
            raise unavailable(message) from error

    async def _absent(self, plan: Plan, entity: str, step: int) -> HTTPError:
        newest = await self.ingestor.store.newest(entity)
        schema, step = plan.schema, step - plan.cutoff
        last = "nothing is known of it" if newest is None else f"its newest one is of {schema.time_text(newest)}"
        return stale(f"entity {entity!r} has no observation of {schema.time_text(step)}; {last}; see :ingest")


def _step(plan: Plan, moment: EntityRequest) -> int:
    return plan.schema.step_of(moment.time, f"{moment.place}.time")


def _is_absent(plan: Plan, window: Array) -> bool:
    """Tell whether the newest row that may be seen is not there."""
    return bool(np.isnan(window[:, -1 - plan.cutoff]).all())


def _entity(plan: Plan, moment: EntityRequest) -> str:
    if moment.entity is None and plan.entity is not None:
        raise invalid(f"{moment.place}: missing field entity")
    return moment.entity if moment.entity is not None else DEFAULT_ENTITY
