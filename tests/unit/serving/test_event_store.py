"""Events at the server: what a request must hold, the order of outcomes, and the same bits as the batch engine."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
from prometheus_client import CollectorRegistry

from almanac.features.batch import compute
from almanac.features.spec import FeatureSpec
from almanac.model.bundle import Bundle
from almanac.model.model import Model
from almanac.training.write import _inputs
from almanac.usecase import UseCase
from almanac.usecase.events_section import Events
from monitoring.metrics import Metrics
from serving.features.event_store import EventStore, has_events
from serving.features.feature_requests import Features
from serving.features.records import EntityRequest
from serving.operations.warmup import reader, seed
from serving.runtime.errors import HTTPError
from tests.unit.features.test_features_events import GAMES, make_usecase

CASE = make_usecase(
    [
        {"kind": "form", "of": "team", "columns": ["scored"], "windows": [2, "30d"], "statistics": ["mean", "count"]},
        {"kind": "elo", "of": "team", "column": "margin", "k": 20.0},
        {"kind": "value", "columns": ["odds"]},
        {"kind": "categorical", "columns": ["park"], "encoding": "code"},
    ]
)
SPEC = FeatureSpec.of(CASE)


def model_of(case: UseCase) -> Model:
    spec = FeatureSpec.of(case)
    parts = SimpleNamespace(
        spec=spec.model_dump(mode="json"),
        signature={"inputs": _inputs(case, spec)},
        columns=SimpleNamespace(names=tuple(spec.names)),
        directory=SimpleNamespace(path=Path("model")),
    )
    return cast(Model, parts)


def bundle_of(model: Model) -> Bundle:
    return cast(Bundle, SimpleNamespace(use_case="games", targets={"margin": model}))


MODEL = model_of(CASE)
BUNDLE = bundle_of(MODEL)
KNOWN = ("away", "park", "odds")


def store(games: pl.DataFrame) -> EventStore:
    kept = EventStore(BUNDLE, Metrics(CollectorRegistry()))
    rows = [{**row, "timestamp": row["timestamp"].isoformat()} for row in games.to_dicts()]
    assert asyncio.run(kept.fill(BUNDLE, rows)).kept == games.height
    return kept


def request(row: dict[str, Any], **changes: Any) -> EntityRequest:
    event = {name: row[name] for name in KNOWN} | changes
    return EntityRequest("instances[0]", row["home"], row["timestamp"].isoformat(), None, event)


def test_an_event_to_come_has_the_features_of_the_batch_engine() -> None:
    assert has_events(MODEL)
    batch = np.ascontiguousarray(compute(SPEC, GAMES).select(SPEC.names).to_numpy())
    kept = store(GAMES)
    for at, row in enumerate(GAMES.to_dicts()):
        found = kept.row(MODEL, request(row))
        assert np.array_equal(found, batch[at], equal_nan=True)


def test_an_outcome_that_arrives_counts_from_the_time_that_it_is_known() -> None:
    last = GAMES.sort("timestamp").tail(1)
    kept = store(GAMES.sort("timestamp").head(GAMES.height - 1))
    row = last.to_dicts()[0]
    later = {**row, "timestamp": row["timestamp"] + timedelta(hours=7)}
    before = kept.row(MODEL, request(later))
    asyncio.run(kept.append(BUNDLE, [{**row, "timestamp": row["timestamp"].isoformat()}]))
    # Six hours and the cutoff of one after its start the outcome is there; a minute earlier it is not.
    assert not np.array_equal(kept.row(MODEL, request(later)), before, equal_nan=True)
    minute_before = {**later, "timestamp": later["timestamp"] - timedelta(minutes=1)}
    count = SPEC.names.index("home_scored_count_30d")
    assert kept.row(MODEL, request(minute_before))[count] == before[count]
    assert asyncio.run(kept.newest(None)) is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"event": None}, r"instances\[0\]: missing field event, an object with away, odds, park"),
        ({"event": {"away": "BOS", "park": "P1"}}, r"instances\[0\].event: missing column odds"),
        (
            {"event": {"away": "BOS", "park": "P9", "odds": 1.0}},
            r"event.park: 'P9' is not a known category; one of P1, P2",
        ),
        ({"event": {"away": "BOS", "park": "P1", "odds": "1"}}, r"event.odds: '1' is text; expected a number or null"),
        ({"event": {"away": "BOS", "park": "P1", "odds": 1.0, "rain": 2}}, r"event: unknown column rain"),
        ({"entity": None}, r"event.home: expected text of 1 to 200 characters"),
        ({"time": "tomorrow"}, r"event.timestamp: 'tomorrow' is not a time"),
    ],
)
def test_a_request_that_lacks_something_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    row = GAMES.to_dicts()[0]
    asked: dict[str, Any] = {
        "entity": "ANA",
        "time": datetime(2015, 5, 1).isoformat(),
        "event": {name: row[name] for name in KNOWN},
    }
    asked |= changes
    with pytest.raises(HTTPError, match=message):
        store(GAMES).row(MODEL, EntityRequest("instances[0]", asked["entity"], asked["time"], None, asked["event"]))


def test_the_request_of_the_newest_row_holds_what_its_features_read(tmp_path: Path) -> None:
    """As the server's start line prints it."""
    GAMES.sort("timestamp").write_parquet(tmp_path / "data.parquet")
    kept = EventStore(BUNDLE, Metrics(CollectorRegistry()))

    async def filled() -> dict[str, Any] | None:
        async with reader() as child:
            features = cast(Features, SimpleNamespace(ingestor=kept, history=1))
            return await seed(child, tmp_path / "data.parquet", BUNDLE, features)

    asked = asyncio.run(filled())
    assert asked is not None
    assert list(asked["event"]) == sorted(KNOWN)
    newest = EntityRequest("instances[0]", asked["entity"], asked["time"], None, asked["event"])
    row = next(
        row for row in GAMES.to_dicts() if (row["home"], row["timestamp"].isoformat()) == (newest.entity, newest.time)
    )
    assert row["timestamp"] == GAMES["timestamp"].max()
    assert np.array_equal(kept.row(MODEL, newest), kept.row(MODEL, request(row)), equal_nan=True)


def test_an_event_whose_features_read_the_past_only_is_its_time_and_entity() -> None:
    case = make_usecase(
        [{"kind": "form", "of": "league", "columns": ["margin"], "windows": [2], "statistics": ["mean"]}]
    )
    events = Events.model_validate({"known_after": "6h", "outcomes": ["margin"], "entities": [{"name": "league"}]})
    model = model_of(case.model_copy(update={"events": events}))
    kept = EventStore(bundle_of(model), Metrics(CollectorRegistry()))
    assert kept.known(bundle_of(model)) == []
    row = {"home": "ANA", "timestamp": "2015-05-01T00:00:00", "margin": 3.0}
    asyncio.run(kept.append(bundle_of(model), [row]))
    asked = EntityRequest("instances[0]", "ANA", "2015-05-02T00:00:00", None, None)
    assert kept.row(model, asked).tolist() == [3.0]
    with pytest.raises(HTTPError, match=r"instances\[0\].event: unknown column rain"):
        kept.row(model, replace(asked, event={"rain": 2}))


def test_outcomes_are_taken_in_order_of_time_each_once() -> None:
    kept = store(GAMES)
    row = {**GAMES.to_dicts()[0]}
    row["timestamp"] = row["timestamp"].isoformat()
    with pytest.raises(HTTPError, match=r"observations\[0\]: 'ANA' of 2015-04-01T00:00:00 does not come after"):
        asyncio.run(kept.append(BUNDLE, [row]))
    # A file that was written before the newest outcome repeats what is known.
    assert asyncio.run(kept.fill(BUNDLE, [row])).kept == 0
    with pytest.raises(HTTPError, match=r"observations\[0\]: missing column margin"):
        asyncio.run(kept.append(BUNDLE, [{name: value for name, value in row.items() if name != "margin"}]))
