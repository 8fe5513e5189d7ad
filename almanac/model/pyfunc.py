"""A model directory as a model of MLflow, whose `pyfunc.load_model` calls `_load_pyfunc` of this module."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from almanac.core.errors import ModelError
from almanac.model.model import Model, load_model

if TYPE_CHECKING:
    import pandas as pd


class PyFunc:
    """Predictions of a model for data frames.

    Args:
        model: the model.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def predict(self, rows: "pd.DataFrame", params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """Return `prediction` and, where the model has intervals, `lower` and `upper` of each row.

        The rows name no entity, so each has the offsets of all rows.

        Args:
            rows: the features by name, NaN for missing.
            params: ignored; MLflow passes it.

        Raises:
            ModelError: a feature is missing, or the model needs the past of its series.
        """
        import pandas as pd

        if missing := [name for name in self._model.names if name not in rows.columns]:
            raise ModelError(
                f"the model of {self._model.name} needs the feature {missing[0]}; the rows have no such column"
            )
        answer = self._model.predict(rows[self._model.names].to_numpy(dtype=np.float64))
        columns = {"prediction": answer.prediction, "lower": answer.lower, "upper": answer.upper}
        return pd.DataFrame({name: values for name, values in columns.items() if values is not None}, index=rows.index)


def _load_pyfunc(path: str) -> PyFunc:
    """Return the model of a directory; MLflow calls this."""
    return PyFunc(load_model(Path(path)))
