"""Events at the server: what a request must hold, the order of outcomes, and the same bits as the batch engine."""

import asyncio
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
from monitoring.metrics import Metrics
from serving.features.event_store import EventStore, has_events
from serving.features.records import EntityRequest
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
MODEL = cast(
    Model,
    SimpleNamespace(
        spec=SPEC.model_dump(mode="json"),
        signature={"inputs": _inputs(CASE, SPEC)},
        columns=SimpleNamespace(names=tuple(SPEC.names)),
        directory=SimpleNamespace(path=Path("model")),
    ),
)
BUNDLE = cast(Bundle, SimpleNamespace(use_case="games", targets={"margin": MODEL}))
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
