"""The history in a request."""

from typing import Any

import numpy as np

from almanac.core.arrays import Array
from serving.features.records import EntityRequest
from serving.features.row_layout import FeaturePlan
from serving.features.values import check_names, json_type
from serving.runtime.errors import invalid


def read_history(plan: FeaturePlan, request: EntityRequest) -> Array:
    """Return the raw rows (k, history) of a request: columns of equal length that end at its time.

    Raises:
        HTTPError: missing or unknown columns, other lengths, or values that do not fit.
    """
    location, schema, history = f"{request.location}.history", plan.schema, request.history
    if not isinstance(history, dict):
        raise invalid(f"{location}: {json_type(history)}; expected an object of columns")
    check_names(history, schema.names, location)
    rows = np.full((len(schema.names), plan.history), np.nan)
    lengths = {name: _length(values, f"{location}.{name}") for name, values in history.items()}
    first = schema.names[0]
    for at, column in enumerate(schema.columns):
        values, length = history[column.name], lengths[column.name]
        if length != lengths[first]:
            raise invalid(f"{location}.{column.name}: {length} values where {first} has {lengths[first]}")
        # More than the look-back is allowed: clients need not know it to the row.
        newest = values[-plan.history :]
        skipped = length - len(newest)
        rows[at, plan.history - len(newest) :] = [
            column.value(value, f"{location}.{column.name}[{skipped + index}]") for index, value in enumerate(newest)
        ]
    if lengths[first] < plan.history:
        message = f"{lengths[first]} rows where the model looks back {plan.history}; null stands for a gap"
        raise invalid(f"{location}: {message}")
    return rows


def _length(values: Any, location: str) -> int:
    if not isinstance(values, list):
        raise invalid(f"{location}: {json_type(values)}; expected a list of values, oldest first")
    return len(values)
