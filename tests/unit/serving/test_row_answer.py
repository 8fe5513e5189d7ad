"""The answer for one row, written into a template, is the JSON that the outputs of a model ask for."""

import json
import math
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from almanac.model.bundle import Bundle
from almanac.model.model import Model
from almanac.model.prediction import Prediction, Row, outputs
from serving.prediction.answers import Answer
from serving.protocol.message import encode
from serving.protocol.row_answer import RowAnswer
from serving.protocol.v1 import predictions

NAMES = b'{"model_name":"100%b"}'
PREDICTION, LOWER, UPPER, DECISION = outputs()


@pytest.mark.parametrize(
    ("given", "row", "columns"),
    [
        ([PREDICTION], Row(40.25), {"predictions": [40.25]}),
        ([PREDICTION], Row(float("nan")), {"predictions": [None]}),
        ([PREDICTION, DECISION], Row(1e-7, decision='a "%d" b'), {"predictions": [1e-7], "signals": ['a "%d" b']}),
        (
            [PREDICTION, LOWER, UPPER],
            Row(40.0, 0.1, 1e300),
            {"predictions": [40.0], "intervals": [{"lower": 0.1, "upper": 1e300}]},
        ),
        (
            [PREDICTION, LOWER, UPPER, DECISION],
            Row(40.0, 0.1, 50.0, "good"),
            {"predictions": [40.0], "intervals": [{"lower": 0.1, "upper": 50.0}], "signals": ["good"]},
        ),
    ],
)
def test_each_output_stands_in_its_column(given: list[Any], row: Row, columns: dict[str, Any]) -> None:
    answer = RowAnswer(cast(Model, SimpleNamespace(outputs=given)), NAMES)
    expected = columns | {"model_name": "100%b"}
    assert json.loads(answer.reply(row, []).body) == expected
    assert list(json.loads(answer.reply(row, ["one", "two"]).body).items()) == [
        *expected.items(),
        ("warnings", ["one", "two"]),
    ]


@pytest.mark.parametrize("value", [-0.0, 1e-320, 1e16, 123456789.125, 1e300, math.inf, math.nan])
@pytest.mark.parametrize("warnings", [[], ['a "%d" b']])
def test_a_row_is_written_as_several_are(value: float, warnings: list[str]) -> None:
    name = 'a "%b"'
    target = SimpleNamespace(outputs=[PREDICTION, LOWER, UPPER], digest="d")
    bundle = cast(Bundle, SimpleNamespace(targets={name: target}, version="1"))
    rows = Answer(bundle, {name: Prediction(*np.array([[value], [-value], [value]]))}, warnings)
    names = encode({"model_name": name, "model_version": "1", "model_digest": "d"})
    answer = RowAnswer(cast(Model, target), names).reply(Row(value, -value, value), warnings)
    assert answer.body == encode(predictions(rows, name))
