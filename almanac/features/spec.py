"""The feature specification: all that both engines need to know, as one JSON document."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from almanac.core.errors import FeatureError, ModelError
from almanac.core.grid import Grid, OpenDays, grid_of
from almanac.core.levels import OTHER
from almanac.features.checks import check_outcomes, check_targets
from almanac.features.compiler.formula import Node, traced
from almanac.features.compiler.graph import Wanted
from almanac.features.compiler.tracing import ColumnInput
from almanac.features.events.kind import EventDeclaration, columns_of
from almanac.features.kind import Context, Declaration, LaterDeclaration
from almanac.usecase import UseCase
from almanac.usecase.events_section import Events
from almanac.usecase.features_section import Feature, Impute
from almanac.usecase.load import explain
from almanac.usecase.types import absent, steps, to_microseconds


class Named(BaseModel):
    """Name and category of a feature."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    group: str


class FeatureSpec(BaseModel):
    """The features of a use case with the transforms fitted for them.

    Attributes:
        format: version of this document; 1 had nothing learned by declarations.
        time: time column.
        entity: column that tells series apart, None where there is one series.
        frequency: distance of two rows, as a duration.
        cutoff: how long before the prediction time data must have been seen, as a duration.
        impute: causal imputation of the input columns.
        columns: input columns, in the order of the online engine's block.
        categories: category table of each category column among them; a value's place is its code.
        centres: for columns with a standard deviation the value that deviations are summed around, 0 for others.
        items: the declarations.
        learned: what each declaration has learned from the training rows, as JSON data; empty where none has.
        features: ordered names with their categories, as the declarations give them.
        history: grid rows up to the prediction time that a row of features needs.
        events: the section on events; None for a grid.
        zone: IANA zone whose local time the calendar is of; None for UTC.
        open_days: days that have steps; None where all have. A model needs no library, whose next version may have
            other holidays.
        last: columns of events whose newest known value is kept for the targets.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1, 2] = 2
    time: str
    entity: str | None
    frequency: str
    cutoff: str
    impute: Impute
    columns: list[str]
    categories: dict[str, list[str]]
    centres: dict[str, float]
    items: list[Feature]
    learned: list[Any] = []
    features: list[Named]
    history: int
    # Left out where there are none, so that the bytes of a grid's specification stay as they were.
    events: Annotated[Events | None, absent(None)] = None
    zone: Annotated[str | None, absent(None)] = None
    open_days: Annotated[OpenDays | None, absent(None)] = None
    last: Annotated[list[str], absent([])] = []

    @classmethod
    def of(
        cls,
        usecase: UseCase,
        categories: dict[str, list[str]] | None = None,
        centres: dict[str, float] | None = None,
        learned: list[Any] | None = None,
    ) -> Self:
        """Return the specification of a use case.

        Args:
            usecase: the use case.
            categories: fitted category tables; the declared ones when absent.
            centres: fitted centres; 0 when absent.
            learned: what each declaration has learned; nothing when absent.

        Raises:
            FeatureError: a feature that cannot be computed from the use case's columns on its grid.
        """
        declared, frequency = usecase.features, usecase.time.frequency
        check_targets(usecase)
        if categories is None:
            # Learned levels are unknown before the fit, but for their bucket.
            columns_of_texts = {name: c for name, c in usecase.columns.items() if c.type == "category"}
            categories = {name: c.categories or [OTHER] for name, c in columns_of_texts.items()}
        events = usecase.events
        # The histories of events keep to the cutoff themselves, by time.
        cutoff = 0 if events is not None else _steps("features.cutoff", declared.cutoff, frequency)
        context = Context(frequency, cutoff, categories, events=events, zone=usecase.time.zone, grid=usecase.time.grid)
        limit = _steps("features.impute.limit", declared.impute.limit, frequency)
        columns = [name for name in usecase.columns if events is None or name not in events.outcomes]
        columns += (states := _states(declared.items, events))
        if events is not None:
            check_outcomes(declared.items, events, states, usecase.columns)
        nodes = _expanded(declared.items, context, columns, learned or [])
        used = {column for node in nodes for column in node.columns}
        for name in declared.impute.columns or []:
            if name not in usecase.columns:
                known = ", ".join(usecase.columns)
                raise FeatureError(f"features.impute.columns: no column named {name}; known: {known}")
        return cls(
            time=usecase.time.column,
            entity=usecase.entity,
            frequency=frequency,
            cutoff=declared.cutoff,
            impute=declared.impute,
            columns=[name for name in columns if name in used],
            categories={name: table for name, table in categories.items() if name in used},
            centres={name: value for name, value in (centres or {}).items() if name in used},
            items=declared.items,
            learned=learned or [],
            features=[Named(name=node.name, group=node.group) for node in nodes],
            # Imputation looks back from the oldest row that a feature reads, and the newest rows are cut off.
            history=_reach(nodes) + limit + context.cutoff,
            events=events,
            zone=usecase.time.zone,
            open_days=usecase.time.open_days,
            last=[] if events is None else sorted({target.column for target in usecase.targets}),
        )

    @classmethod
    def read(cls, document: Any, location: str) -> Self:
        """Return the specification in a model's features.json.

        Raises:
            ModelError: another format, or a kind of features that is not installed; the message names both.
        """
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            lines = "; ".join(explain(error, cls))
            raise ModelError(f"{location}: no feature specification that can be computed here: {lines}") from None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if [(node.name, node.group) for node in self.nodes] != [(one.name, one.group) for one in self.features]:
            raise ValueError("features: the names are not those that the items give")
        # A specification travels in a model directory, where a hand may have altered it.
        if self.history != self.reach + self.limit_steps + self.cutoff_steps:
            raise ValueError(f"history: {self.history} is not what the items need")
        return self

    @cached_property
    def nodes(self) -> list[Node]:
        """The features, in order, as both engines execute them."""
        context = Context(
            self.frequency, self.cutoff_steps, self.categories, events=self.events, zone=self.zone, grid=self.grid
        )
        return _expanded(self.items, context, self.columns, self.learned)

    def wanted(self, nodes: Sequence[tuple[int, Node]], columns: Sequence[str]) -> Wanted:
        """Return some features, with their positions, and the columns that they read, for the compiler."""
        raw = [one for _, node in nodes for one in node.inputs if isinstance(one, ColumnInput) and one.raw]
        inputs = [*map(ColumnInput, columns), *dict.fromkeys(raw)]
        return Wanted(tuple(nodes), tuple(inputs), tuple(self.centres.get(one.name, 0.0) for one in inputs))

    @property
    def coded(self) -> dict[str, str]:
        """Features that are the codes of a category, each with its column."""
        sources = {node.name: node.columns[0] for node in self.nodes if node.view is not None and node.columns}
        return {name: column for name, column in sources.items() if column in self.categories}

    @cached_property
    def names(self) -> list[str]:
        """Ordered feature names."""
        return [feature.name for feature in self.features]

    @property
    def groups(self) -> dict[str, str]:
        """Category of each feature."""
        return {feature.name: feature.group for feature in self.features}

    @cached_property
    def states(self) -> list[str]:
        """Columns that the histories of events add to an event's row."""
        return _states(self.items, self.events)

    @cached_property
    def cutoff_steps(self) -> int:
        """The cutoff in grid steps; 0 for events, whose histories keep to it by time."""
        return 0 if self.events is not None else steps(self.cutoff, self.frequency)

    @cached_property
    def limit_steps(self) -> int:
        """The imputation's limit in grid steps."""
        return steps(self.impute.limit, self.frequency)

    @cached_property
    def step(self) -> int:
        """Distance of two rows in µs."""
        return to_microseconds(self.frequency)

    @cached_property
    def grid(self) -> Grid:
        """The grid of the times."""
        return grid_of(self.step, self.open_days)

    @cached_property
    def reach(self) -> int:
        """Known rows that a row of features looks back on, at least one."""
        return _reach(self.nodes)

    @cached_property
    def imputed(self) -> list[str]:
        """Columns that are imputed."""
        if not self.limit_steps:
            return []
        return [name for name in self.columns if self.impute.columns is None or name in self.impute.columns]


def _expanded(
    items: Sequence[Feature], context: Context, columns: Collection[str], learned: Sequence[Any]
) -> list[Node]:
    """Return the features of all declarations, in order.

    Raises:
        FeatureError: a duration off the grid, a name given twice, or a column or feature that there is not.
    """
    if learned and len(learned) != len(items):
        raise FeatureError(f"learned: has {len(learned)} entries; expected one for each of {len(items)} declarations")
    nodes: dict[str, tuple[int, Node]] = {}
    for index, item in enumerate(cast(Sequence[Declaration], items)):
        # Nothing is learned before the fit, when the first specification is made.
        own = replace(context, learned=learned[index] if learned else None)
        try:
            for feature in item.features(own):
                if feature.name in nodes:
                    hint = "; name_ahead: true adds the time ahead to names" * isinstance(item, LaterDeclaration)
                    raise ValueError(f"the feature {feature.name} is declared twice{hint}")
                node = traced(feature, item.group, nodes, columns, context.categories)
                if context.events is not None and node.reach > 1:
                    raise ValueError("looks back on the rows of a grid; events have histories, such as those of form")
                nodes[feature.name] = len(nodes), node
        except ValueError as error:
            raise FeatureError(f"features.items.{index} ({item.kind}): {error}") from error
    return [node for _, node in nodes.values()]


def _states(items: Sequence[Feature], events: Events | None) -> list[str]:
    """Return the columns that the histories of events add to an event's row."""
    if events is None:
        return []
    names: list[str] = []
    for index, item in enumerate(items):
        try:
            names += columns_of(item, events) if isinstance(item, EventDeclaration) else []
        except ValueError as error:
            raise FeatureError(f"features.items.{index} ({item.kind}): {error}") from error
    return names


def _reach(nodes: list[Node]) -> int:
    return max([1, *(node.reach for node in nodes)])


def _steps(place: str, duration: str, frequency: str) -> int:
    try:
        return steps(duration, frequency)
    except ValueError as error:
        raise FeatureError(f"{place}: {error}") from error
