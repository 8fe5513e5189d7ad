"""Features at request time: from the feature store, or from the history that the request brings, to a row."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.errors import ModelError
from serving.inputs.cells import check_names, kind
from serving.inputs.known import check_known
from serving.inputs.raw import RawSchema, read_schema
from serving.inputs.records import Moment
from serving.models.bundle import Bundle
from serving.models.target import Target
from serving.operate.age import DataAge
from serving.refusal import Refusal, invalid, stale
from serving.store.observations import DEFAULT_ENTITY, Ingestor

Array = npt.NDArray[np.float64]


def raw_schema(bundle: Bundle) -> tuple[RawSchema, str | None, int]:
    """Return the raw columns of a bundle, the entity column if any, and the steps that its features look back.

    Raises:
        ModelError: the targets have different raw columns.
    """
    found: tuple[RawSchema, str | None, int] | None = None
    for target in bundle.targets.values():
        plan = Plan(target)
        schema, entity, history = plan.schema, plan.entity, plan.history
        if found is None:
            found = schema, entity, history
        elif (found[0], found[1]) != (schema, entity):
            raise ModelError(f"signature.json: the inputs of {target.name} differ from those of the other targets")
        else:
            found = schema, entity, max(found[2], history)
    if found is None:
        raise ModelError(f"{bundle.use_case}: no targets")
    return found


class Plan:
    """How the features of one target are computed.

    Attributes:
        schema: the raw columns.
        entity: name of the entity column, None where the use case has none.
        history: grid rows that a prediction needs.
        cutoff: steps before the prediction time whose rows must not be seen.
        witness: place of a raw column that has a value in every row there is; None without such a column.
    """

    def __init__(self, target: Target) -> None:
        from components.preprocessing import FeatureSpec
        from components.preprocessing.online import OnlineEngine

        try:
            spec = FeatureSpec.model_validate(target.features["spec"])
        except ValueError as error:
            place = target.directory.path / "features.json"
            raise ModelError(f"{place}: no feature specification that this version reads ({error})") from error
        self.name = target.name
        self.engine = OnlineEngine(spec)
        self.schema = read_schema(target.signature["inputs"], spec.step, spec.entity)
        self.entity: str | None = spec.entity
        self.history: int = self.engine.history
        self.cutoff: int = spec.cutoff_steps
        self.witness = next((at for at, column in enumerate(self.schema.columns) if not column.nullable), None)
        self._order = _order(spec.names, list(target.columns.names))
        self._rows = np.array([self.schema.names.index(name) for name in spec.columns], dtype=np.intp)
        self._tables = _code_tables(self.schema, spec.columns, spec.categories)

    def row(self, window: Array, step: int) -> Array:
        """Return the features (f,) of the prediction time `step` from raw rows (k, history) that end there.

        Raises:
            FeatureError: rows newer than the cutoff allows.
        """
        block = window[self._rows]
        for at, table in self._tables:
            block[at] = _mapped(block[at], table)
        row: Array = self.engine.row(block, step * self.schema.step)
        return row if self._order is None else row[self._order]


class Features:
    """Computes the features of requests by entity and time, or with their history.

    The feature engine and the store are opened when they are first needed, or by `warm`: a server that is asked for
    rows by name alone starts sooner and stays smaller.

    Args:
        open_ingestor: opens the store; called once.
        age: shows how old the data are.
    """

    def __init__(self, open_ingestor: Callable[[], Ingestor], age: DataAge) -> None:
        self._open = open_ingestor
        self._opened: Ingestor | None = None
        self._lock = threading.Lock()
        self._age = age
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

    async def close(self) -> None:
        """Close the store, if it was opened."""
        if self._opened is not None:
            await self._opened.store.close()

    async def show_age(self, bundle: Bundle) -> None:
        """Show how old the newest observation is now; nothing where no store was opened."""
        if self._opened is not None:
            present = {name: target.signature.get("as_of") for name, target in bundle.targets.items()}
            await self._age.show(self._opened.store, self._opened.schema, present)

    async def matrix(self, target: Target, moments: list[Moment], notes: list[str]) -> Array:
        """Return the features (n, f) of the target.

        Raises:
            Refusal: a time off the grid, a history that breaks a rule, or data that are not there.
        """
        return np.stack([await self.row(target, moment, notes) for moment in moments])

    async def row(self, target: Target, moment: Moment, notes: list[str]) -> Array:
        """Return the features (f,) of the target for one moment; raises as `matrix` does.

        What a reader of the answer should know, such as a history with many holes, is added to `notes`.
        """
        plan = self._plan(target)
        step = plan.schema.step_of(moment.time, f"{moment.place}.time")
        if moment.history is not None:
            rows = read_history(plan, moment)
        else:
            rows = await self._stored(plan, moment, step)
        # What is newer than the cutoff must not be seen, and is not counted.
        if note := check_known(rows[:, : plan.history - plan.cutoff], moment, plan.witness):
            notes.append(note)
        return plan.row(rows, step)

    def _plan(self, target: Target) -> Plan:
        plan = self._plans.get(target.digest)
        if plan is None:
            plan = self._plans[target.digest] = Plan(target)
        return plan

    async def _stored(self, plan: Plan, moment: Moment, step: int) -> Array:
        entity = self._entity(plan, moment)
        rows = await self.ingestor.store.window(entity, step, plan.history)
        if np.isnan(rows[:, plan.history - 1 - plan.cutoff]).all():
            raise await self._absent(plan, entity, step - plan.cutoff)
        rows[:, plan.history - plan.cutoff :] = np.nan
        return rows

    async def _absent(self, plan: Plan, entity: str, step: int) -> Refusal:
        newest = await self.ingestor.store.newest(entity)
        schema = plan.schema
        last = "nothing is known of it" if newest is None else f"its newest one is of {schema.time_text(newest)}"
        return stale(f"entity {entity!r} has no observation of {schema.time_text(step)}; {last}; see :ingest")

    @staticmethod
    def _entity(plan: Plan, moment: Moment) -> str:
        if moment.entity is None and plan.entity is not None:
            raise invalid(f"{moment.place}: missing field entity")
        return moment.entity if moment.entity is not None else DEFAULT_ENTITY


def read_history(plan: Plan, moment: Moment) -> Array:
    """Return the raw rows (k, history) that a request brings: columns of equal length that end at its time.

    Raises:
        Refusal: missing or unknown columns, other lengths, or values that do not fit.
    """
    place, schema = f"{moment.place}.history", plan.schema
    if not isinstance(moment.history, dict):
        raise invalid(f"{place}: {kind(moment.history)}; expected an object of columns")
    check_names(moment.history, schema.names, place)
    rows = np.full((len(schema.names), plan.history), np.nan)
    lengths = {name: _length(values, f"{place}.{name}") for name, values in moment.history.items()}
    wanted = lengths[schema.names[0]]
    for at, column in enumerate(schema.columns):
        values = moment.history[column.name]
        if lengths[column.name] != wanted:
            first = schema.names[0]
            raise invalid(f"{place}.{column.name}: {lengths[column.name]} values where {first} has {wanted}")
        kept = values[-plan.history :]
        skipped = len(values) - len(kept)
        rows[at, plan.history - len(kept) :] = [
            column.value(value, f"{place}.{column.name}[{skipped + index}]") for index, value in enumerate(kept)
        ]
    if wanted < plan.history:
        raise invalid(f"{place}: {wanted} rows where the model looks back {plan.history}; null stands for a gap")
    return rows


def _length(values: Any, place: str) -> int:
    if not isinstance(values, list):
        raise invalid(f"{place}: {kind(values)}; expected a list of values, oldest first")
    return len(values)


def _code_tables(schema: RawSchema, used: list[str], fitted: dict[str, list[str]]) -> list[tuple[int, Array]]:
    """Return, for each category column in use, its place and the model's code of each declared category."""
    tables = []
    columns = {column.name: column for column in schema.columns}
    for at, name in enumerate(used):
        declared = columns[name].categories
        if declared is not None:
            codes = {category: float(code) for code, category in enumerate(fitted[name])}
            tables.append((at, np.array([codes.get(category, np.nan) for category in declared])))
    return tables


def _mapped(codes: Array, table: Array) -> Array:
    known = np.isfinite(codes)
    return np.where(known, table[np.where(known, codes, 0).astype(np.intp)], np.nan)


def _order(names: list[str], wanted: list[str]) -> npt.NDArray[np.intp] | None:
    """Return where the model's features stand in the engine's row, None when they stand alike.

    Raises:
        ModelError: the model has a feature that its specification does not give.
    """
    if names == wanted:
        return None
    if unknown := [name for name in wanted if name not in names]:
        raise ModelError(f"features.json: the specification does not give the feature {unknown[0]}")
    return np.array([names.index(name) for name in wanted], dtype=np.intp)
