"""Formulas of features, traced to nodes.

Tracing a formula once says all that the engines need to know of a feature: the inputs that it reads, the rows that it
looks back on, and whether it is computed at all or merely a view of an input.
"""

from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from almanac.core.errors import FeatureError
from almanac.features.compiler.tracing import (
    Clock,
    ClockInput,
    ColumnInput,
    Expression,
    FeatureInput,
    Input,
    Operand,
    Trace,
    Value,
    filled,
    present,
)


@dataclass(frozen=True)
class Feature:
    """A named formula.

    Attributes:
        name: name of the feature.
        formula: computes it from the inputs that it is called with, `formula(inputs, *arguments)`.
        arguments: further arguments; features with equal ones share their compiled code.
    """

    name: str
    formula: Callable[..., Value]
    arguments: tuple[Hashable, ...] = ()


@dataclass(frozen=True)
class Node:
    """A traced feature.

    Attributes:
        feature: name and formula.
        group: category, for reports.
        inputs: the inputs that the formula reads.
        features: positions of the features that it is made from.
        reach: rows that it looks back on, the newest known one included; 0 without a column.
        view: the input that the feature is, where there is nothing to compute.
        squared: columns whose squared deviations it sums, so that rounding depends on their centre.
    """

    feature: Feature
    group: str
    inputs: tuple[Input, ...]
    features: tuple[int, ...]
    reach: int
    view: Operand | None
    squared: frozenset[str]

    @property
    def name(self) -> str:
        """Name of the feature."""
        return self.feature.name

    @cached_property
    def columns(self) -> list[str]:
        """Columns that the formula reads."""
        return list(dict.fromkeys(one.name for one in self.inputs if isinstance(one, ColumnInput)))

    @property
    def column(self) -> ColumnInput | None:
        """The only input of the feature, where that is a column."""
        others = any(isinstance(one, FeatureInput | ClockInput) for one in self.inputs)
        columns = [one for one in self.inputs if isinstance(one, ColumnInput)]
        return None if others or len(columns) != 1 else columns[0]


class Column:
    """A numeric column in a formula.

    Attributes:
        values: NaN where one is missing.
        present: 1 where there is a value, else 0; the number 1 where no value is missing.
        centre: number near the mean, around which deviations are summed.
        deviation: values less the centre, 0 where one is missing.
    """

    def __init__(self, values: Expression, complete: bool, centre: float) -> None:
        self.values, self.centre = values, centre
        self.present: Value = 1.0 if complete else present(values)
        self.deviation = values - centre if complete else filled(values - centre)


@dataclass
class Inputs:
    """The inputs of a formula.

    Attributes:
        trace: takes the steps.
        before: features that the formula may use, with their positions, by name.
        complete: whether no value of the columns is missing.
        centres: by column; 0 for others.
        categories: category columns; None where columns have been checked before.
        columns: all columns, in the same case.
        squared: columns whose squared deviations were asked for.
        used: positions of the features that were asked for.
        values: features that the same trace has computed, by name.
    """

    trace: Trace
    before: Mapping[str, tuple[int, Node]]
    complete: bool = False
    centres: Mapping[str, float] = field(default_factory=dict)
    categories: Collection[str] | None = None
    columns: Collection[str] = ()
    squared: set[str] = field(default_factory=set)
    used: set[int] = field(default_factory=set)
    values: dict[str, Value] = field(default_factory=dict)

    def column(self, name: str) -> Column:
        """Return a numeric column."""
        values = self._input(name, category=False)
        return Column(values, self.complete, self.centres.get(name, 0.0))

    def raw(self, name: str) -> Expression:
        """Return the values of a numeric column as they were read, before imputation."""
        return self._input(name, category=False, raw=True)

    def squares(self, name: str) -> Value:
        """Return the squared deviations of a numeric column."""
        self.squared.add(name)
        deviation = self.column(name).deviation
        return deviation * deviation

    def codes(self, name: str) -> Expression:
        """Return the codes of a category column."""
        return self._input(name, category=True)

    def clock(self, clock: Clock, which: int = 0) -> Expression:
        """Return a number of a clock."""
        return Expression(self.trace, Operand(ClockInput(clock, which)))

    def feature(self, name: str) -> Value:
        """Return a feature that is declared before."""
        if name in self.values:
            return self.values[name]
        if name not in self.before:
            raise FeatureError(f"no feature named {name} is declared before")
        # A view is read where it lies; anything else is read from the column that another formula computes.
        position, node = self.before[name]
        self.used.add(position)
        return Expression(self.trace, node.view or Operand(FeatureInput(position)))

    def _input(self, name: str, category: bool, raw: bool = False) -> Expression:
        if self.categories is not None:
            if name not in self.columns:
                raise FeatureError(f"no column named {name}; known: {', '.join(self.columns)}")
            if category and name not in self.categories:
                raise FeatureError(f"{name} is not a category column; known: {', '.join(self.categories) or 'none'}")
            if not category and name in self.categories:
                raise FeatureError(f"{name} is a category; this kind needs numbers")
        return Expression(self.trace, Operand(ColumnInput(name, raw)))


def traced(
    feature: Feature,
    group: str,
    before: Mapping[str, tuple[int, Node]],
    columns: Collection[str],
    categories: Collection[str],
) -> Node:
    """Trace a feature and return it as a node.

    Args:
        feature: name and formula.
        group: its category.
        before: the features declared before, with their positions, by name.
        columns: names of all columns.
        categories: names of the category columns among them.

    Raises:
        FeatureError: the formula reads what there is not, looks ahead, or gives no value.
    """
    # The form for missing values reads all inputs that the form for complete rows reads.
    inputs = Inputs(Trace(), before, categories=categories, columns=columns)
    value = value_of(feature, inputs)
    operand = value.operand if isinstance(value, Expression) else None
    lags = _lags(inputs.trace, operand)
    for one, lag in lags.items():
        # Neither engine keeps features or clocks of earlier rows; a lookup table has no rows.
        if lag > 1 and isinstance(one, FeatureInput | ClockInput):
            raise FeatureError(
                f"feature {feature.name}: looks back on {one}; expected a column, which alone keeps rows"
            )
    reach = max((lag for one, lag in lags.items() if isinstance(one, ColumnInput)), default=0)
    view = operand if operand is not None and isinstance(operand.source, ColumnInput | ClockInput) else None
    return Node(feature, group, tuple(lags), tuple(inputs.used), reach, view, frozenset(inputs.squared))


def value_of(feature: Feature, inputs: Inputs) -> Value:
    """Return the value of a formula, which is a symbol or a number.

    Raises:
        FeatureError: it is neither.
    """
    value = feature.formula(inputs, *feature.arguments)
    # A `match` without an arm for its case gives None, which no array must take for a number.
    if not isinstance(value, Expression | int | float):
        raise FeatureError(f"feature {feature.name}: its formula gives {value!r}; expected an expression or a number")
    return value


def _lags(trace: Trace, operand: Operand | None) -> dict[Input, int]:
    """Return the inputs that a result is made from, each with its rows back to the oldest one read."""
    back: dict[int, int] = {}
    lags: dict[Input, int] = {}

    def read(one: Operand, rows: int) -> None:
        rows = max(0, one.lag) + rows
        if isinstance(one.source, int):
            back[one.source] = max(back.get(one.source, 0), rows)
        else:
            lags[one.source] = max(lags.get(one.source, 0), rows + 1)

    if operand is not None:
        read(operand, 0)
    for number in range(len(trace.steps) - 1, -1, -1):
        if number in back:
            for one in trace.steps[number].reads:
                read(one, back[number] + trace.steps[number].history)
    return lags
