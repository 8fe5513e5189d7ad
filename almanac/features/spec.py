"""The feature specification: all that both engines need to know, as one JSON document."""

from functools import cached_property
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from almanac.core.errors import FeatureError
from almanac.features.nodes import Grid, Node
from almanac.features.plan import expand
from almanac.usecase import UseCase
from almanac.usecase.features_section import Feature, Impute
from almanac.usecase.types import steps, to_microseconds

FORMAT = 1


class Named(BaseModel):
    """Name and category of a feature."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    group: str


class FeatureSpec(BaseModel):
    """The features of a use case with the transforms fitted for them.

    Attributes:
        format: version of this document.
        time: time column.
        entity: column that tells series apart, None where there is one series.
        frequency: distance of two rows, as a duration.
        cutoff: how long before the prediction time data must have been seen, as a duration.
        impute: causal imputation of the input columns.
        columns: input columns, in the order of the online engine's block.
        categories: category table of each category column among them; a value's place is its code.
        centres: for columns with a standard deviation the value that deviations are summed around, 0 for others.
        items: the declarations.
        features: ordered names with their categories, as the declarations give them.
        history: grid rows up to the prediction time that a row of features needs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    time: str
    entity: str | None
    frequency: str
    cutoff: str
    impute: Impute
    columns: list[str]
    categories: dict[str, list[str]]
    centres: dict[str, float]
    items: list[Feature]
    features: list[Named]
    history: int

    @classmethod
    def of(
        cls,
        usecase: UseCase,
        categories: dict[str, list[str]] | None = None,
        centres: dict[str, float] | None = None,
    ) -> Self:
        """Return the specification of a use case.

        Args:
            usecase: the use case.
            categories: fitted category tables; the declared ones when absent.
            centres: fitted centres; 0 when absent.

        Raises:
            FeatureError: a feature that cannot be computed from the use case's columns on its grid.
        """
        declared = usecase.features
        if categories is None:
            categories = {name: c.categories for name, c in usecase.columns.items() if c.categories is not None}
        cutoff = _steps("features.cutoff", declared.cutoff, usecase.time.frequency)
        limit = _steps("features.impute.limit", declared.impute.limit, usecase.time.frequency)
        nodes = expand(declared.items, Grid(usecase.time.frequency, cutoff, categories))
        used = {column for node in nodes for column in node.inputs}
        _check_columns(usecase, nodes, categories)
        return cls(
            time=usecase.time.column,
            entity=usecase.entity,
            frequency=usecase.time.frequency,
            cutoff=declared.cutoff,
            impute=declared.impute,
            columns=[name for name in usecase.columns if name in used],
            categories={name: table for name, table in categories.items() if name in used},
            centres={name: value for name, value in (centres or {}).items() if name in used},
            items=declared.items,
            features=[Named(name=node.name, group=node.group) for node in nodes],
            history=_history(nodes, cutoff, limit),
        )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        derived = [(node.name, node.group) for node in self.nodes]
        if derived != [(feature.name, feature.group) for feature in self.features]:
            raise ValueError("features: the names are not those that the items give")
        if self.history != _history(self.nodes, self.cutoff_steps, self.limit_steps):
            raise ValueError(f"history: {self.history} is not what the items need")
        if unknown := sorted({c for node in self.nodes for c in node.inputs} - set(self.columns)):
            raise ValueError(f"columns: {', '.join(unknown)} is missing, which a feature reads")
        return self

    @cached_property
    def nodes(self) -> list[Node]:
        """The features, in order, as both engines execute them."""
        return expand(self.items, Grid(self.frequency, self.cutoff_steps, self.categories))

    @cached_property
    def names(self) -> list[str]:
        """Ordered feature names."""
        return [feature.name for feature in self.features]

    @property
    def groups(self) -> dict[str, str]:
        """Category of each feature."""
        return {feature.name: feature.group for feature in self.features}

    @cached_property
    def cutoff_steps(self) -> int:
        """The cutoff in grid steps."""
        return steps(self.cutoff, self.frequency)

    @cached_property
    def limit_steps(self) -> int:
        """The imputation's limit in grid steps."""
        return steps(self.impute.limit, self.frequency)

    @cached_property
    def step(self) -> int:
        """Distance of two rows in µs."""
        return to_microseconds(self.frequency)

    @cached_property
    def reach(self) -> int:
        """Known rows that a row of features looks back on, at least one."""
        return max([1, *(node.reach for node in self.nodes)])

    @cached_property
    def imputed(self) -> list[str]:
        """Columns that are imputed."""
        if not self.limit_steps:
            return []
        return [name for name in self.columns if self.impute.columns is None or name in self.impute.columns]


def _steps(place: str, duration: str, frequency: str) -> int:
    try:
        return steps(duration, frequency)
    except ValueError as error:
        raise FeatureError(f"{place}: {error}") from error


def _history(nodes: list[Node], cutoff: int, limit: int) -> int:
    return max([1, *(node.reach for node in nodes)]) + limit + cutoff


def _check_columns(usecase: UseCase, nodes: list[Node], categories: dict[str, list[str]]) -> None:
    for node in nodes:
        for column in node.inputs:
            if column not in usecase.columns:
                known = ", ".join(usecase.columns)
                raise FeatureError(f"feature {node.name}: no column named {column}; known: {known}")
    numbers = {name for name in usecase.columns if name not in categories}
    for item in usecase.features.items:
        wanted = [] if item.kind == "categorical" else getattr(item, "columns", [])
        wanted = [*wanted, *([item.magnitude] if item.kind == "vector" else [])]
        wanted = [*wanted, *([item.column] if item.kind == "elapsed" else [])]
        if wrong := [name for name in wanted if name not in numbers]:
            raise FeatureError(f"features.items ({item.kind}): {wrong[0]} is a category; this kind needs numbers")
    for name in usecase.features.impute.columns or []:
        if name not in usecase.columns:
            raise FeatureError(f"features.impute.columns: no column named {name}; known: {', '.join(usecase.columns)}")
