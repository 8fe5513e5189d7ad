"""The history that a request brings with it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from serving.features.records import EntityRequest
from serving.features.row_layout import Plan
from serving.features.values import check_names, kind
from serving.runtime.errors import invalid

Array = npt.NDArray[np.float64]


def read_history(plan: Plan, moment: EntityRequest) -> Array:
    """Return the raw rows (k, history) that a request brings: columns of equal length that end at its time.

    Raises:
        HTTPError: missing or unknown columns, other lengths, or values that do not fit.
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
