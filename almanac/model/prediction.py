"""The answer of a model: one dataclass, from whose fields every protocol, log and table is written.

A further output is a further field of `Prediction`, and the line that computes it in `almanac.model.model`: V1, V2,
gRPC, the OpenAPI document, the prediction log and batch prediction follow from its metadata.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number")
Text = TypeVar("Text")


class Output(NamedTuple):
    """How one field of `Prediction` is written.

    Attributes:
        attribute: name of the field.
        name: its name in row objects, tensors, logs and tables.
        datatype: datatype of the Open Inference Protocol.
        column: name of the list that holds it in the V1 answer of one target.
        shared: whether that list holds objects, which further outputs of the same column are part of.
        logged: whether the prediction log keeps it.
    """

    attribute: str
    name: str
    datatype: Literal["FP64", "BYTES"]
    column: str
    shared: bool
    logged: bool


def output(
    name: str, datatype: Literal["FP64", "BYTES"], column: str, shared: bool = False, logged: bool = True
) -> dict[str, Any]:
    """Return the metadata of an output's field; see `Output`."""
    return {"output": (name, datatype, column, shared, logged)}


@dataclass(slots=True)
class Prediction(Generic[Number, Text]):
    """The outputs of one row, or of n rows as columns of shape (n,); None for an output that the model does not have.

    Attributes:
        prediction: the forecast.
        lower: lower end of its interval.
        upper: upper end of its interval.
        decision: name of the decision that the forecast calls for.
    """

    prediction: Number = field(metadata=output("prediction", "FP64", "predictions"))
    lower: Number | None = field(default=None, metadata=output("lower", "FP64", "intervals", shared=True))
    upper: Number | None = field(default=None, metadata=output("upper", "FP64", "intervals", shared=True))
    decision: Text | None = field(default=None, metadata=output("signal", "BYTES", "signals", logged=False))

    def present(self) -> list[tuple[Output, Any]]:
        """Return the outputs that there are, with their values."""
        outputs, values = _LAYOUTS.get(type(self)) or _layout(type(self))
        return [pair for pair in zip(outputs, values(self), strict=False) if pair[1] is not None]

    def rows(self: "Predictions") -> "list[Row]":
        """Return columns row by row."""
        count = len(self.prediction)
        values = (getattr(self, one.attribute) for one in outputs(type(self)))
        columns = [[None] * count if value is None else as_list(value) for value in values]
        build: Callable[..., Row] = type(self)  # type: ignore[assignment]
        return [build(*row) for row in zip(*columns, strict=True)]


@dataclass(slots=True)
class StakedPrediction(Prediction[Number, Text]):
    """The outputs of one row whose request gave the prices of both sides.

    Attributes:
        side: side on which the stake would be: outcome, opposite or none.
        edge: expected gain a unit staked on the better side; None without its price.
        stake: share of the bankroll.
    """

    side: Text | None = field(default=None, metadata=output("side", "BYTES", "stakes", shared=True, logged=False))
    edge: Number | None = field(default=None, metadata=output("edge", "FP64", "stakes", shared=True, logged=False))
    stake: Number | None = field(default=None, metadata=output("stake", "FP64", "stakes", shared=True, logged=False))


Row = Prediction[float, str]
"""The outputs of one row."""
Predictions = Prediction[npt.NDArray[np.float64], list[str]]
"""The outputs of several rows."""


_Layout = tuple[tuple[Output, ...], Callable[[Any], tuple[Any, ...]]]
_LAYOUTS: dict[type, _Layout] = {}


def outputs(kind: type[Prediction[Any, Any]] = Prediction) -> tuple[Output, ...]:
    """Return all outputs, in the order of their fields."""
    return (_LAYOUTS.get(kind) or _layout(kind))[0]


def _layout(kind: type[Prediction[Any, Any]]) -> _Layout:
    """Return the outputs of a class, and the function that returns their values in one call in C."""
    declared = tuple(Output(one.name, *one.metadata["output"]) for one in fields(kind))
    layout = _LAYOUTS[kind] = declared, attrgetter(*(one.attribute for one in declared))
    return layout


def as_list(values: Any) -> list[Any]:
    """Return a column as a list of plain values."""
    plain: list[Any] = values.tolist() if isinstance(values, np.ndarray) else values
    return plain
