"""A model of several series, trained and served: the entity is a key, in requests as in stored rows."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from almanac.core.files import pretty_json
from almanac.features.batch import compute
from almanac.features.spec import FeatureSpec
from almanac.model.bundle import load_bundle
from almanac.model.model import load_model
from almanac.model.step_forecasts import forecast_steps
from almanac.training.train import train
from almanac.usecase import UseCase, load_text
from tests.support.server import Reply, ServerProcess, Start
from tests.support.training_world import ITEMS, RIDGE, inputs, usecase

END = pl.datetime(2012, 6, 30, 22)


def two_places() -> UseCase:
    """The small world with an entity and a category column."""
    case = usecase(RIDGE, folds={"count": 2, "length": "30d"}, budget={"trials": 1, "seconds": 600})
    document = case.model_dump(mode="json", exclude_none=True)
    document["entity"] = "place"
    document["targets"][0]["decision"] = {"thresholds": [100.0], "names": ["quiet", "alert"], "by": "upper"}
    document["targets"].append({"name": "pm25_2h", "column": "pm25", "horizon": "2h"})
    document["features"]["items"] = [*ITEMS, {"kind": "categorical", "group": "weather", "columns": ["cbwd"]}]
    return load_text(pretty_json(document), "two places")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, beijing: pl.DataFrame) -> tuple[UseCase, Path, pl.DataFrame]:
    folder, case = tmp_path_factory.mktemp("entities"), two_places()
    north = beijing.with_columns(pl.lit("north").alias("place"))
    south = beijing.with_columns(pl.lit("south").alias("place"), pl.col("pm25") * 0.5)
    table = pl.concat([north, south]).filter(pl.col("timestamp") < pl.datetime(2012, 7, 1))
    files = inputs(case, table, folder / "in")
    train(case, files, folder / "model", folder / "tuning.json")
    table.write_parquet(folder / "table.parquet")
    return case, folder, table


def ask(server: ServerProcess, place: str, time: str) -> float:
    answer = server.post("/v1/models/pm25_6h:predict", {"instances": [{"entity": place, "time": time}]})
    assert answer.status == 200, answer.body
    return float(answer.json["predictions"][0])


def expected(folder: Path, table: pl.DataFrame, place: str) -> float:
    model = load_model(folder / "model" / "pm25_6h")
    features = compute(FeatureSpec.model_validate(model.spec), table)
    row = features.filter((pl.col("place") == place) & (pl.col("timestamp") == END)).select(model.names)
    return float(model.predict(row.to_numpy()).prediction[0])


def test_a_server_takes_the_history_of_every_entity(world: tuple[UseCase, Path, pl.DataFrame], start: Start) -> None:
    _, folder, table = world
    server = start("--history", str(folder / "table.parquet"), model=folder / "model")
    assert server.process.stdout is not None
    assert next(line for line in iter(server.process.stdout.readline, b"") if line.startswith(b"curl "))
    age = re.search(r'^almanac_data_age_seconds\{model="pm25_6h"\} (\S+)', server.get("/metrics").body.decode(), re.M)
    newest = datetime(2012, 6, 30, 23)
    assert age is not None
    assert float(age[1]) == (datetime(2015, 1, 1) - newest).total_seconds(), "the use case says what the present is"
    for place in ("north", "south"):
        assert ask(server, place, "2012-06-30T22:00:00") == pytest.approx(expected(folder, table, place), rel=1e-9)


def test_observations_and_a_history_name_their_entity(world: tuple[UseCase, Path, pl.DataFrame], start: Start) -> None:
    case, folder, table = world
    server = start(model=folder / "model")
    south = table.filter(pl.col("place") == "south").filter(pl.col("timestamp") <= END).tail(200)
    rows = [{**row, "timestamp": row["timestamp"].isoformat()} for row in south.to_dicts()]
    assert server.post("/v1/models/pm25_6h:ingest", {"observations": rows}).status == 200
    found = ask(server, "south", "2012-06-30T22:00:00")
    assert found == pytest.approx(expected(folder, table, "south"), rel=1e-9)
    answer = server.post("/v1/models/pm25_6h:predict", {"instances": [{"time": "2012-06-30T22:00:00", "entity": "x"}]})
    assert answer.status == 409
    assert "entity 'x' has no observation" in answer.json["error"]
    assert "a new entity is answered from its own history" in answer.json["error"]
    history = {name: south[name].to_list() for name in case.columns}
    row = {"entity": "south", "time": "2012-06-30T22:00:00", "history": history}
    given = server.post("/v1/models/pm25_6h:predict", {"instances": [row]})
    assert given.status == 200, given.body
    assert given.json["predictions"][0] == pytest.approx(found, rel=1e-9)
    assert "warnings" not in given.json
    stored = server.post("/v1/models/pm25_6h:predict", {"instances": [{**row, "history": None}]})
    assert stored.json["intervals"] == given.json["intervals"]
    # The same history of another place: another interval, and of a new place that of all places, and a word on it.
    others = [
        server.post("/v1/models/pm25_6h:predict", {"instances": [{**row, "entity": n}]}) for n in ("north", "new")
    ]
    assert all(other.json["predictions"] == given.json["predictions"] for other in others)
    widths = [
        each["intervals"][0]["upper"] - each["intervals"][0]["lower"]
        for each in (given.json, *(o.json for o in others))
    ]
    assert widths[0] < widths[2] < widths[1]
    assert others[1].json["warnings"] == [
        "entity 'new' is unseen: pm25_6h has learned from 2 other entities, and its interval is that of their errors"
    ]
    several = server.post("/v1/models/pm25_6h:predict", {"instances": [row, {**row, "entity": "new"}]})
    assert several.json["intervals"] == [given.json["intervals"][0], others[1].json["intervals"][0]]
    assert several.json["warnings"] == others[1].json["warnings"]
    late = (south["timestamp"][-1] + timedelta(hours=1)).isoformat()
    wrong = server.post("/v1/models/pm25_6h:ingest", {"observations": [{**rows[-1], "timestamp": late, "place": 5}]})
    assert wrong.status == 400
    assert "observations[0].place" in wrong.json["error"]


def test_every_step_is_forecast_by_the_nearest_horizon_not_before_it(
    world: tuple[UseCase, Path, pl.DataFrame], start: Start
) -> None:
    _, folder, table = world
    server = start("--history", str(folder / "table.parquet"), model=folder / "model")
    origin = datetime(2012, 6, 30, 22)
    asked = [{"entity": place, "time": origin.isoformat()} for place in ("south", "north")]
    answer = server.post("/v1/models/pm25_6h:steps", {"instances": asked})
    assert answer.status == 200, answer.body
    batch = forecast_steps(table, load_bundle(folder / "model"), origin)
    assert batch.height == 12
    for forecast in answer.json["forecasts"]:
        assert list(forecast["steps"]) == ["pm25"]
        steps = forecast["steps"]["pm25"]
        mine = batch.filter(pl.col("place") == forecast["entity"])
        assert [step["target"] for step in steps] == ["pm25_2h"] * 2 + ["pm25_6h"] * 4 == mine["target"].to_list()
        assert [step["time"] for step in steps] == [
            (origin + timedelta(hours=hour)).isoformat() for hour in range(1, 7)
        ]
        assert [step["prediction"] for step in steps] == pytest.approx(mine["prediction"].to_list(), rel=1e-9)
        assert [step["upper"] for step in steps] == pytest.approx(mine["upper"].to_list(), rel=1e-9)
        assert [step.get("signal") for step in steps] == mine["signal"].to_list()
    now = answer.json["forecasts"][0]["steps"]["pm25"]
    # Five hours ahead is what the six-hour model said an hour ago.
    before = {"entity": "south", "time": (origin - timedelta(hours=1)).isoformat()}
    earlier = server.post("/v1/models/pm25_6h:predict", {"instances": [before]}).json
    assert now[4]["prediction"] == earlier["predictions"][0]
    # So many that they are read in pieces and forecast in a thread.
    many = server.post("/v1/models/pm25_6h:steps", {"instances": asked * 400})
    assert many.json["forecasts"] == answer.json["forecasts"] * 400
    assert server.post("/v1/models/pm25_6h:steps", {"instances": asked * 900}).status == 413
    with_history = server.post("/v1/models/pm25_6h:steps", {"instances": [{**asked[0], "history": {"pm25": [1.0]}}]})
    assert (with_history.status, "send entity and time alone" in with_history.json["error"]) == (400, True)


def test_a_decision_is_made_by_the_end_that_it_names(world: tuple[UseCase, Path, pl.DataFrame], start: Start) -> None:
    """Below the threshold with an upper end above it: an alert, in one answer, in several, and in the metric."""
    _, folder, table = world
    server = start("--history", str(folder / "table.parquet"), model=folder / "model")
    times = table.filter(pl.col("place") == "south").tail(300)["timestamp"].head(290)
    rows = [{"entity": "south", "time": time.isoformat()} for time in times]
    answer = server.post("/v1/models/pm25_6h:predict", {"instances": rows}).json
    uppers = [interval["upper"] for interval in answer["intervals"]]
    assert answer["signals"] == ["alert" if upper >= 100.0 else "quiet" for upper in uppers]
    close = next(at for at, upper in enumerate(uppers) if upper >= 100.0 > answer["predictions"][at])
    assert server.post("/v1/models/pm25_6h:predict", {"instances": [rows[close]]}).json["signals"] == ["alert"]
    counted = re.search(
        r'^almanac_predictions_total\{.*signal="alert".*\} (\S+)', server.get("/metrics").body.decode(), re.M
    )
    assert counted is not None
    assert float(counted[1]) == answer["signals"].count("alert") + 1


def test_a_category_is_given_by_name_or_by_code(world: tuple[UseCase, Path, pl.DataFrame], start: Start) -> None:
    case, folder, table = world
    model = load_model(folder / "model" / "pm25_6h")
    features = compute(FeatureSpec.model_validate(model.spec), table)
    row = features.filter((pl.col("place") == "south") & (pl.col("timestamp") == END)).select(model.names).to_dicts()[0]
    categories = case.columns["cbwd"].categories
    assert categories is not None
    server = start(model=folder / "model")

    def answer(value: object) -> Reply:
        return server.post("/v1/models/pm25_6h:predict", {"instances": [{**row, "cbwd": value}]})

    by_code = answer(row["cbwd"]).json["predictions"]
    assert answer(categories[int(row["cbwd"])]).json["predictions"] == by_code
    wrong = answer("up")
    assert wrong.status == 400
    assert "cbwd" in wrong.json["error"]
