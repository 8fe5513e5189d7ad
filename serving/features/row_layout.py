"""The features of one model from raw rows, whether of its own layout or of a feature store's."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from almanac.core.levels import codes_of, is_open
from almanac.model.bundle import Bundle
from almanac.model.model import Model
from serving.features.raw_schema import RawSchema, read_schema
from serving.features.values import name_list
from serving.runtime.errors import stale


def raw_schema(bundle: Bundle) -> tuple[RawSchema, str | None, int]:
    """Return the raw columns of a bundle, the entity column if any, and the steps that its features look back.

    Raises:
        ModelError: the targets have different raw columns.
    """
    plans = [FeaturePlan(model) for model in bundle.targets.values()]
    if not plans:
        raise ModelError(f"{bundle.use_case}: no targets")
    first = plans[0]
    for plan in plans[1:]:
        if (plan.schema, plan.entity) != (first.schema, first.entity):
            raise ModelError(f"signature.json: the inputs of {plan.name} differ from those of the other targets")
    return first.schema, first.entity, max(plan.history for plan in plans)


class RowReader:
    """Reads the columns that features are computed from out of rows of some layout, by the names of columns and codes.

    Args:
        schema: layout of the rows.
        used: names of the columns that features are computed from, in the order of the feature engine.
        own: layout that the model declares.
        fitted: for each category column the categories that the model learned, in the order of its codes.
        target: the column whose past values the model predicts from; None if it predicts from features only.

    Attributes:
        complete_column: position of a column that has a value in every existing row; None without such a column.

    Raises:
        ModelError: the rows lack a column, or hold it as another type.
    """

    def __init__(
        self,
        schema: RawSchema,
        used: Sequence[str],
        own: RawSchema,
        fitted: Mapping[str, Sequence[str]],
        target: str | None,
    ) -> None:
        if absent := [name for name in [*used, *([target] if target else [])] if name not in schema.names]:
            raise ModelError(f"no column {name_list(absent)}")
        # Steps are counted from 1970, so rows of another step cannot be addressed.
        if (stored := schema.grid.step) != own.grid.step:
            raise ModelError(f"a row for every {stored / 1e6:g} s where the model takes {own.grid.step / 1e6:g} s")
        if schema.grid != own.grid:
            raise ModelError("a row for every open day of a calendar other than the model's")
        self.complete_column = next((at for at, column in enumerate(schema.columns) if not column.nullable), None)
        self._rows = np.array([schema.names.index(name) for name in used], dtype=np.intp)
        self._target = schema.names.index(target) if target else None
        self._tables: list[tuple[int, Array]] = []
        self._foreign: list[tuple[int, str, dict[float, str]]] = []
        declared = {column.name: column.categories for column in own.columns}
        for at, position in enumerate(self._rows):
            column = schema.columns[position]
            self._add_codes(at, column.name, column.categories, declared[column.name], fitted)

    def _add_codes(
        self,
        at: int,
        name: str,
        stored: tuple[str, ...] | None,
        declared: tuple[str, ...] | None,
        fitted: Mapping[str, Sequence[str]],
    ) -> None:
        """Add the translation of a category column's codes."""
        if (stored is None) != (declared is None):
            raise ModelError(f"{name} is {_type_name(stored)} where the model takes {_type_name(declared)}")
        if stored is None or declared is None:
            return
        if name not in fitted:
            raise ModelError(f"features.json: the specification has no categories of {name}")
        codes = codes_of(fitted[name])
        # A declared category that training did not see is a missing value here as there; a foreign one is refused.
        self._tables.append((at, np.array([codes.get(category, np.nan) for category in stored])))
        if foreign := {
            float(code): category
            for code, category in enumerate(stored)
            if category not in declared and not is_open(declared)
        }:
            self._foreign.append((at, name, foreign))

    def block(self, rows: Array) -> Array:
        """Return the columns of the features, in the model's coding, from raw rows (k, n); a copy.

        Raises:
            HTTPError: a category that the model does not know.
        """
        block: Array = rows[self._rows]
        for at, name, foreign in self._foreign:
            if present := sorted(set(block[at].tolist()) & set(foreign)):
                category = foreign[present[0]]
                raise stale(f"the history has {name} {category!r}, a category that this version does not know")
        for at, table in self._tables:
            block[at] = _translated(block[at], table)
        return block

    def past(self, rows: Array) -> Array:
        """Return the target column of raw rows (k, n), shape (n,)."""
        values: Array = rows[self._target]
        return values


class FeaturePlan:
    """How the features of one model are computed.

    Attributes:
        name: name of the model.
        schema: the raw columns.
        entity: name of the entity column; None if the use case has none.
        past: past values of the target's column that the model predicts from, besides its features.
        history: grid rows that a prediction needs.
        cutoff: steps before the prediction time whose rows must not be seen.
        own: reads rows of the layout that the model declares.
        stored: reads the rows of the feature store, once its layout is known.
    """

    def __init__(self, model: Model) -> None:
        # Imported here: a server that only gets rows by name needs no feature engine.
        from almanac.features.online import OnlineEngine
        from almanac.features.spec import FeatureSpec

        path = model.directory.path
        spec = FeatureSpec.read(model.features.get("spec"), str(path / "features.json"))
        self.name = model.name
        self.engine = OnlineEngine(spec)
        self.schema = read_schema(model.signature["inputs"], spec.grid, spec.entity)
        self.entity: str | None = spec.entity
        self.cutoff: int = spec.cutoff_steps
        self.past = model.predictor.history
        self.history: int = max(self.engine.history, self.past + self.cutoff)
        self._target = str(model.signature["target"]["column"]) if self.past else None
        self._used, self._fitted = list(spec.columns), spec.categories
        self._order = _order(spec.names, list(model.columns.names))
        try:
            self.own = self._reader(self.schema)
        except ModelError as error:
            raise ModelError(f"{path / 'signature.json'}: inputs do not fit features.json: {error}") from error
        self.stored: RowReader | None = None

    def read_store(self, schema: RawSchema, entity: str | None, most: int | None) -> RowReader:
        """Return the reader of a feature store's rows, whose layout may be that of another version.

        Args:
            schema: layout of its rows.
            entity: name of its entity column; None if it has one series.
            most: newest steps that it keeps of a series; None for all.

        Raises:
            ModelError: the store lacks something that the features are computed from.
        """
        if (self.entity is None) != (entity is None):
            stored, taken = (f"series by {name}" if name else "one series" for name in (entity, self.entity))
            raise ModelError(f"{stored} where the model takes {taken}")
        if most is not None and self.history > most:
            raise ModelError(f"the newest {most} rows where the model looks back on {self.history}")
        self.stored = self._reader(schema)
        return self.stored

    def _reader(self, schema: RawSchema) -> RowReader:
        return RowReader(schema, self._used, self.schema, self._fitted, self._target)

    def row(self, reader: RowReader, window: Array, step: int, stored: bool) -> Array:
        """Return the features (f,) at the prediction time `step` from raw rows (k, history) that end there.

        Args:
            reader: reads the rows.
            window: the rows.
            step: the prediction time.
            stored: whether rows newer than the cutoff are masked, as in a store, where other requests need them.

        Raises:
            FeatureError: rows newer than the cutoff allows.
            HTTPError: a category that the model does not know.
        """
        # A copy, so that the mask does not reach the window, which the plans of other targets read too.
        block = reader.block(window)
        if stored and self.cutoff:
            block[:, self.history - self.cutoff :] = np.nan
        row: Array = self.engine.row(block, self.schema.grid.time(step))
        return row if self._order is None else row[self._order]

    def past_values(self, reader: RowReader, window: Array) -> Array:
        """Return the target's last known values (past,) of raw rows (k, history), those before the cutoff."""
        end = self.history - self.cutoff
        return reader.past(window)[end - self.past : end]


def _type_name(categories: tuple[str, ...] | None) -> str:
    return "a number" if categories is None else "a category"


def _translated(codes: Array, table: Array) -> Array:
    # NaN is no index: missing codes look up the first entry, and the outer `where` discards it.
    known = np.isfinite(codes)
    return np.where(known, table[np.where(known, codes, 0).astype(np.intp)], np.nan)


def _order(names: list[str], model_names: list[str]) -> npt.NDArray[np.intp] | None:
    """Return the positions of the model's features in the engine's row, None if the order is the same.

    Raises:
        ModelError: the model has a feature that its specification lacks.
    """
    if names == model_names:
        return None
    if unknown := [name for name in model_names if name not in names]:
        raise ModelError(f"features.json: the specification does not give the feature {unknown[0]}")
    return np.array([names.index(name) for name in model_names], dtype=np.intp)
