"""Bodies that are not trees: a linear one is served and explained, one of a series by its history alone."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from almanac.core.files import read_json, write_json
from almanac.model.bodies import BODIES
from tests.support.server import FEATURES, WIND, Reply, Start, altered, as_row

HOURS = 24


def _linear(directory: Path) -> None:
    (directory / "model.bst").unlink()
    write_json(directory / "manifest.json", read_json(directory / "manifest.json") | {"kind": "linear"})


def _smoothing(directory: Path) -> None:
    (directory / "model.bst").unlink()
    write_json(directory / "manifest.json", read_json(directory / "manifest.json") | {"kind": "ets"})
    write_json(directory / "offset.json", {"intercept": 0.0, "terms": {}, "fill": {}, "clip": [0.0, None]})
    level = {"alpha": 0.5, "beta": 0.0, "gamma": 0.0, "phi": 0.0, "seasonal": "none", "level": 90.0}
    document = {"format": 1, "history": HOURS, "period": 1, "steps": 1, "entities": {}, "pooled": level}
    write_json(directory / "ets.json", document)


def test_a_linear_body_is_served_and_explained(
    model_dir: Path, tmp_path: Path, start: Start, feature_rows: Any
) -> None:
    server = start(model=altered(model_dir, tmp_path / "linear", _linear))
    rows = [as_row(values) for values in feature_rows[:3]]
    answer = server.post("/v1/models/pm25_1h:predict", {"instances": rows}).json
    assert answer["predictions"] == [row["pm25"] for row in rows]
    assert server.get("/v2/models/pm25_1h").json["platform"] == "linear"
    explained = server.post("/v1/models/pm25_1h:explain", {"instances": rows}).json["explanations"]
    for row, one in zip(rows, explained, strict=True):
        assert sum(one["contributions"].values()) + one["base_value"] == pytest.approx(row["pm25"])


@pytest.mark.skipif("ets" not in BODIES, reason="no body of this kind")
class TestSeries:
    @pytest.fixture
    def ask(self, model_dir: Path, tmp_path: Path, start: Start) -> Any:
        server = start(model=altered(model_dir, tmp_path / "s", _smoothing))

        def post(verb: str, instances: list[Any], model: str = "pm25_1h") -> Reply:
            return server.post(f"/v1/models/{model}:{verb}", {"instances": instances})

        return post

    def test_it_is_served_by_the_history_of_a_request(self, ask: Any) -> None:
        values = np.linspace(40.0, 90.0, HOURS + 1).tolist()
        answer = ask("predict", [request(values)])
        assert answer.status == 200, answer.body
        level = values[1]
        for value in values[1:]:
            level = level + 0.5 * (value - level)
        assert answer.json["predictions"] == [pytest.approx(level)]
        assert answer.json["intervals"][0]["lower"] < level < answer.json["intervals"][0]["upper"]
        many = ask("predict", [request(values)] * 3, "air").json["predictions"]
        assert [row["pm25_6h"]["prediction"] for row in many] == [pytest.approx(level)] * 3

    def test_rows_of_features_are_refused(self, ask: Any, feature_rows: np.ndarray) -> None:
        answer = ask("predict", [as_row(feature_rows[0])])
        assert (answer.status, "predicts from the history of a series" in answer.json["error"]) == (400, True)

    def test_an_explanation_is_refused(self, ask: Any) -> None:
        answer = ask("explain", [request([50.0] * (HOURS + 1))])
        assert answer.status == 422
        assert "kind ets has no explanation" in answer.json["error"]


def request(values: list[float]) -> dict[str, Any]:
    """An instance with its history: the target's values, and constant weather."""
    columns = {name: [1000.0 if name == "pres" else 0.0] * len(values) for name in FEATURES if "_lag" not in name}
    del columns["hour"]
    history = {**columns, "pm25": values, "cbwd": [WIND[0]] * len(values)}
    time = datetime(2014, 1, 1, tzinfo=UTC) + timedelta(hours=len(values))
    return json.loads(json.dumps({"time": time.replace(tzinfo=None).isoformat(), "history": history}))  # type: ignore[no-any-return]
