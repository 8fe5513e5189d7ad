"""V1 over a real socket, against LightGBM's own answers."""

from collections.abc import Callable
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from tests.support.server import FEATURES, WIND, ServerProcess, as_row


@pytest.fixture(scope="module")
def expected(model_dir: Path, feature_rows: np.ndarray) -> np.ndarray:
    booster = lightgbm.Booster(model_file=str(model_dir / "pm25_1h" / "model.bst"))
    raw = np.asarray(booster.predict(feature_rows, num_threads=1))
    clipped: np.ndarray = np.clip(raw + feature_rows[:, 0], 0.0, None)
    return clipped


def test_rows_by_name_in_any_order(server: ServerProcess, feature_rows: np.ndarray, expected: np.ndarray) -> None:
    for at in (0, 17, 4000):
        row = dict(reversed(as_row(feature_rows[at]).items()))
        answer = server.post("/v1/models/pm25_1h:predict", {"instances": [row]})
        assert answer.status == 200, answer.body
        assert answer.json["predictions"] == pytest.approx([expected[at]], abs=1e-12)
        (interval,) = answer.json["intervals"]
        assert interval["lower"] <= expected[at] <= interval["upper"]
        assert len(answer.json["model_digest"]) == 64


def test_all_forms_agree(server: ServerProcess, feature_rows: np.ndarray, expected: np.ndarray) -> None:
    rows = [as_row(values) for values in feature_rows[:100]]
    ordered = [[None if np.isnan(value) else value for value in values] for values in feature_rows[:100].tolist()]
    table = {name: [row[name] for row in rows] for name in FEATURES}
    for body in ({"instances": rows}, {"instances": ordered}, {"inputs": table}):
        answer = server.post("/v1/models/pm25_1h:predict", body)
        assert answer.status == 200, answer.body
        np.testing.assert_allclose(answer.json["predictions"], expected[:100], rtol=0, atol=1e-12)


def test_one_row_equals_many(server: ServerProcess, feature_rows: np.ndarray) -> None:
    rows = [as_row(values) for values in feature_rows[200:230]]
    together = server.post("/v1/models/pm25_1h:predict", {"instances": rows}).json
    for at, row in enumerate(rows):
        alone = server.post("/v1/models/pm25_1h:predict", {"instances": [row]}).json
        for field in ("predictions", "intervals", "signals"):
            assert alone[field] == [together[field][at]]


def test_use_case_answers_all_targets(server: ServerProcess, feature_rows: np.ndarray, expected: np.ndarray) -> None:
    answer = server.post("/v1/models/air:predict", {"instances": [as_row(feature_rows[3])]}).json
    (row,) = answer["predictions"]
    assert set(row) == {"pm25_1h", "pm25_6h"}
    assert row["pm25_1h"]["prediction"] == pytest.approx(expected[3], abs=1e-12)
    assert set(row["pm25_6h"]) == {"prediction", "lower", "upper", "signal"}


def test_explanations_sum_to_the_prediction(server: ServerProcess, feature_rows: np.ndarray) -> None:
    rows = [as_row(values) for values in feature_rows[:5]]
    answer = server.post("/v1/models/pm25_1h:explain", {"instances": rows})
    assert answer.status == 200, answer.body
    for part in answer.json["explanations"]:
        total = part["base_value"] + sum(part["contributions"].values())
        assert part.get("sum_before_link_and_clip", part["prediction"]) == pytest.approx(total, abs=1e-9)
        assert set(part["contributions"]) == set(FEATURES)


def _without(row: dict[str, object], name: str) -> dict[str, object]:
    return {key: value for key, value in row.items() if key != name}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: _without(row, "temp"), ["instances[1]", "missing", "temp"]),
        (lambda row: {**row, "colour": 1}, ["instances[1]", "unknown", "colour"]),
        (lambda row: {**row, "temp": "12"}, ["instances[1].temp", "text"]),
        (lambda row: {**row, "temp": True}, ["instances[1].temp", "truth value"]),
        (lambda row: {**row, "temp": [1]}, ["instances[1].temp", "list"]),
        (lambda row: {**row, "cbwd": "north"}, ["instances[1].cbwd", "north", "NW"]),
        (lambda row: {**row, "cbwd": 9}, ["instances[1].cbwd: 9 is not a category code", "NW (0)"]),
        (lambda row: {**row, "cbwd": 1.5}, ["instances[1].cbwd: 1.5 is not a category code"]),
        (lambda row: {**row, "hour": None}, ["instances[1].hour", "null"]),
        (lambda row: 5, ["instances[1]: a number"]),
        (lambda row: None, ["instances[1]: null"]),
        (lambda row: [1, 2], ["instances[1]", "2 values", "11"]),
    ],
)
def test_a_bad_row_is_named(
    server: ServerProcess, feature_rows: np.ndarray, change: Callable[[dict[str, object]], object], words: list[str]
) -> None:
    row = as_row(feature_rows[0])
    answer = server.post("/v1/models/pm25_1h:predict", {"instances": [row, change(row)]})
    assert answer.status == 400
    assert list(answer.json) == ["error"]
    for word in words:
        assert word in answer.json["error"], answer.json


def test_a_category_may_be_given_by_its_code(server: ServerProcess, feature_rows: np.ndarray) -> None:
    row = as_row(feature_rows[0])
    named = server.post("/v1/models/pm25_1h:predict", {"instances": [row]}).json
    for code in (WIND.index(str(row["cbwd"])), float(WIND.index(str(row["cbwd"])))):
        assert server.post("/v1/models/pm25_1h:predict", {"instances": [{**row, "cbwd": code}]}).json == named


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "not JSON"),
        (b'{"instances": [{"temp": NaN}]}', "instances[0].temp: NaN is no number of JSON"),
        (b'{"instances": [[1.5, 1e999]]}', "instances[0][1]: 1e999 is no number of JSON"),
        (b'{"inputs": {"temp": [1, ' + b"9" * 5000 + b"]}}", "inputs.temp[1]: a number of 5000 characters"),
        (b'{"instances": []}', "empty"),
        (b'{"instances": 5}', "list of rows"),
        (b"[]", "the body is a list; expected an object"),
        (b"null", "the body is null"),
        (b'{"instances": null}', "instances: null"),
        (b'{"instances": [null]}', "instances[0]: null"),
        (b"{}", "exactly one"),
        (b'{"rows": []}', "rows"),
        (b'{"inputs": {}}', "missing column"),
        (b'{"instances": [{"temp": 1e999}]}', ""),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_a_bad_body_is_refused(server: ServerProcess, body: bytes, word: str) -> None:
    answer = server.post("/v1/models/pm25_1h:predict", body)
    assert answer.status == 400
    assert word in str(answer.json["error"])


def test_unknown_things(server: ServerProcess) -> None:
    assert server.post("/v1/models/other:predict", {"instances": [{}]}).status == 404
    assert server.get("/nowhere").status == 404
    wrong = server.get("/v1/models/pm25_1h:predict")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    kind = {"content-type": "text/csv"}
    assert server.post("/v1/models/pm25_1h:predict", b"1,2", kind).status == 415


def test_a_charset_makes_no_difference(server: ServerProcess, feature_rows: np.ndarray) -> None:
    headers = {"content-type": "application/json; charset=utf-8", "authorization": "Bearer secret", "cookie": "a=b"}
    body = {"instances": [as_row(feature_rows[0])]}
    for verb in ("predict", "explain"):
        answer = server.post(f"/v1/models/pm25_1h:{verb}", body, headers)
        assert answer.status == 200
        everything = answer.body + str(answer.headers).encode()
        assert b"secret" not in everything
        assert b"a=b" not in everything


def test_many_rows_are_read_in_pieces_and_answered_alike(
    server: ServerProcess, feature_rows: np.ndarray, expected: np.ndarray
) -> None:
    rows = [as_row(values) for values in feature_rows[:3000]]
    answer = server.post("/v1/models/pm25_1h:predict", {"instances": rows})
    assert answer.status == 200
    np.testing.assert_allclose(answer.json["predictions"], expected[:3000], rtol=0, atol=1e-12)
    wrong = server.post("/v1/models/pm25_1h:predict", {"instances": [*rows, {**rows[0], "temp": "x"}]})
    assert (wrong.status, "instances[3000].temp" in wrong.json["error"]) == (400, True)
