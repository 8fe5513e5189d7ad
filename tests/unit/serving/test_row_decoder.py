"""Rows by name become the same matrix whether they have nulls or not."""

import json
import math

import numpy as np

from almanac.model.columns import Columns
from serving.protocol.row_decoder import RowDecoder, matrix

NAMES = ("temp", "wind", "pres")


def test_a_matrix_has_the_rows_in_the_order_of_the_features() -> None:
    free = np.full(3, math.inf)
    columns = Columns(NAMES, {"wind": ("NW", "cv")}, -free, free, frozenset())
    rows = [
        {"wind": "cv", "temp": -4, "pres": 1021.3},
        {"pres": None, "wind": None, "temp": 0.1},
        {"temp": 5e-324, "wind": 0, "pres": 2.0**52},
    ]
    data = json.dumps({"instances": rows}).encode()
    X = matrix(RowDecoder(columns).decode(data))
    expected = [[-4.0, 1.0, 1021.3], [0.1, math.nan, math.nan], [5e-324, 0.0, 2.0**52]]
    assert X.dtype == np.float64
    assert X.flags.writeable
    np.testing.assert_array_equal(X, expected)
