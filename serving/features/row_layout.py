"""How the features of one target are computed, and how raw rows of its own or of another layout are read for it."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from almanac.core.errors import ModelError
from almanac.model.bundle import Bundle
from almanac.model.model import Model as Target
from serving.features.raw_schema import RawSchema, read_schema
from serving.features.values import listed
from serving.runtime.errors import stale

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


class Reading:
    """Where the columns that features are made of stand in rows of some layout: found by name, as categories are.

    Args:
        schema: layout of the rows.
        used: names of the columns that the features are made of, in the order of the feature engine.
        own: layout that the model declares.
        fitted: for each category column the categories that the model learned, in the order of its codes.

    Attributes:
        witness: place of a column that has a value in every row there is; None without such a column.

    Raises:
        ModelError: the rows lack a column, or hold it as something else.
    """

    def __init__(
        self, schema: RawSchema, used: Sequence[str], own: RawSchema, fitted: Mapping[str, Sequence[str]]
    ) -> None:
        if missing := [name for name in used if name not in schema.names]:
            raise ModelError(f"no column {listed(missing)}")
        if schema.step != own.step:
            raise ModelError(f"a row for every {schema.step / 1e6:g} s where the model takes {own.step / 1e6:g} s")
        self.witness = next((at for at, column in enumerate(schema.columns) if not column.nullable), None)
        self._rows = np.array([schema.names.index(name) for name in used], dtype=np.intp)
        self._tables: list[tuple[int, Array]] = []
        self._foreign: list[tuple[int, str, dict[float, str]]] = []
        declared = {column.name: column.categories for column in own.columns}
        for at, place in enumerate(self._rows):
            self._add(at, schema.columns[place].name, schema.columns[place].categories, declared, fitted)

    def _add(
        self,
        at: int,
        name: str,
        there: tuple[str, ...] | None,
        declared: Mapping[str, tuple[str, ...] | None],
        fitted: Mapping[str, Sequence[str]],
    ) -> None:
        known = declared[name]
        if (there is None) != (known is None):
            raise ModelError(f"{name} is {_form(there)} where the model takes {_form(known)}")
        if there is None or known is None:
            return
        if name not in fitted:
            raise ModelError(f"features.json: the specification has no categories of {name}")
        codes = {category: float(code) for code, category in enumerate(fitted[name])}
        self._tables.append((at, np.array([codes.get(category, np.nan) for category in there])))
        if foreign := {float(code): category for code, category in enumerate(there) if category not in known}:
            self._foreign.append((at, name, foreign))

    def block(self, rows: Array) -> Array:
        """Return the columns of the features, in the model's coding, from raw rows (k, n); a copy.

        Raises:
            HTTPError: a category that the model does not know.
        """
        block: Array = rows[self._rows]
        for at, name, foreign in self._foreign:
            if found := sorted(set(block[at].tolist()) & set(foreign)):
                raise stale(f"the history has {name} {foreign[found[0]]!r}, a category that this version does not know")
        for at, table in self._tables:
            block[at] = _mapped(block[at], table)
        return block


class Plan:
    """How the features of one target are computed.

    Attributes:
        schema: the raw columns.
        entity: name of the entity column, None where the use case has none.
        history: grid rows that a prediction needs.
        cutoff: steps before the prediction time whose rows must not be seen.
        own: reads rows that have the raw columns as the model declares them.
        stored: reads the rows of the feature store, once that is known.
    """

    def __init__(self, target: Target) -> None:
        from almanac.features.online import OnlineEngine
        from almanac.features.spec import FeatureSpec

        try:
            spec = FeatureSpec.model_validate(target.features["spec"])
        except (KeyError, ValueError) as error:
            place = target.directory.path / "features.json"
            raise ModelError(f"{place}: no feature specification that this version reads ({error})") from error
        self.name = target.name
        self.engine = OnlineEngine(spec)
        self.schema = read_schema(target.signature["inputs"], spec.step, spec.entity)
        self.entity: str | None = spec.entity
        self.history: int = self.engine.history
        self.cutoff: int = spec.cutoff_steps
        self._used, self._fitted = list(spec.columns), spec.categories
        self._order = _order(spec.names, list(target.columns.names))
        try:
            self.own = self._reading(self.schema)
        except ModelError as error:
            place = target.directory.path / "signature.json"
            raise ModelError(f"{place}: inputs do not fit features.json: {error}") from error
        self.stored: Reading | None = None

    def read_store(self, schema: RawSchema, entity: str | None, most: int | None) -> Reading:
        """Return what reads the rows of a feature store, whose layout may be that of another version.

        Args:
            schema: layout of its rows.
            entity: name of its entity column; None where it keeps one series.
            most: newest steps that it keeps of a series; None for all.

        Raises:
            ModelError: the store does not have what the features are made of; the message says what.
        """
        if (self.entity is None) != (entity is None):
            there, wanted = (f"series by {name}" if name else "one series" for name in (entity, self.entity))
            raise ModelError(f"{there} where the model takes {wanted}")
        if most is not None and self.history > most:
            raise ModelError(f"the newest {most} rows where the model looks back on {self.history}")
        self.stored = self._reading(schema)
        return self.stored

    def _reading(self, schema: RawSchema) -> Reading:
        return Reading(schema, self._used, self.schema, self._fitted)

    def row(self, reading: Reading, window: Array, step: int, stored: bool) -> Array:
        """Return the features (f,) of the prediction time `step` from raw rows (k, history) that end there.

        Args:
            reading: reads the rows.
            window: the rows.
            step: the prediction time.
            stored: whether rows newer than the cutoff are passed over, as in a store, where others need them.

        Raises:
            FeatureError: rows newer than the cutoff allows.
            HTTPError: a category that the model does not know.
        """
        block = reading.block(window)
        if stored and self.cutoff:
            block[:, self.history - self.cutoff :] = np.nan
        row: Array = self.engine.row(block, step * self.schema.step)
        return row if self._order is None else row[self._order]


def _form(categories: tuple[str, ...] | None) -> str:
    return "a number" if categories is None else "a category"


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
