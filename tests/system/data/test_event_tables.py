"""The use cases of events on their real tables: what prices were known, rows that stand twice, engines, look-ahead.

The tables are not in the repository; ALMANAC_MIRROR names a directory that holds them.
"""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from almanac.core.errors import TableError
from almanac.data.formats.rdata import KIND as RDATA
from almanac.data.ingest import ingest
from almanac.data.read import read_table
from almanac.features.batch import compute
from almanac.features.events.batch import events_of
from almanac.features.events.engine import EventEngine
from almanac.features.spec import FeatureSpec
from almanac.usecase import UseCase, load
from almanac.usecase.types import to_microseconds

ROOT = Path(__file__).resolve().parents[3]
MIRROR = os.environ.get("ALMANAC_MIRROR", "")

pytestmark = pytest.mark.skipif(not MIRROR, reason="ALMANAC_MIRROR names no directory with the tables")


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> tuple[UseCase, pl.DataFrame]:
    case, base = load(ROOT / "usecases" / "mlb_games.yaml"), tmp_path_factory.mktemp("games")
    ingest(case, ROOT / "usecases", base / "cache", base / "table.parquet")
    return case, pl.read_parquet(base / "table.parquet").sort("home_team", "day")


def log_loss(won: npt.NDArray[np.float64], chance: npt.NDArray[np.float64]) -> float:
    return float(-np.mean(np.where(won == 1, np.log(chance), np.log(1 - chance))))


def test_prices_are_those_that_stood_before_the_start(games: tuple[UseCase, pl.DataFrame]) -> None:
    _, table = games
    priced = table.filter(pl.col("market_t60").is_not_null())
    assert (table.height, priced.height) == (17_245, 2_459)
    won = priced["home_won"].to_numpy()
    # Read as UTC, a line would be seven hours older and know less; a line of the game itself would know who wins.
    assert log_loss(won, priced["market_t60"].to_numpy()) == pytest.approx(0.6738, abs=5e-4)
    assert log_loss(won, priced["market_close"].to_numpy()) == pytest.approx(0.6737, abs=5e-4)


def test_lines_go_on_after_games_have_begun() -> None:
    path = next(Path(MIRROR).rglob("MLB2016.rda"))
    case = load(ROOT / "usecases" / "mlb_games.yaml")
    source = next(one for one in case.sources if one.name == "pinnacle_close")
    raw = RDATA.parse(path.read_bytes(), source.read)
    assert raw.height == 241_039
    late = raw.filter(pl.col("EnteredDateTimeUTC") + 7 * 3600 > pl.col("EventDateTimeUTC"))
    assert late["GameID"].n_unique() == 398


def test_a_game_that_stands_once_for_each_of_its_sources_is_refused() -> None:
    path = next(Path(MIRROR).rglob("teams-2016.csv"))
    case = load(ROOT / "usecases" / "mlb_games.yaml")
    source = next(one for one in case.sources if one.name == "box_2016")
    phases = {"season.phase": source.read.only["season.phase"]}
    twice = source.model_copy(update={"read": source.read.model_copy(update={"only": phases})})
    with pytest.raises(TableError, match=r"has more than one row with team.alignment"):
        read_table(twice, path.read_bytes(), case)


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> tuple[UseCase, pl.DataFrame]:
    case, base = load(ROOT / "usecases" / "card_sales.yaml"), tmp_path_factory.mktemp("sales")
    ingest(case, ROOT / "usecases", base / "cache", base / "table.parquet")
    return case, pl.read_parquet(base / "table.parquet").sort("series", "day")


@pytest.mark.parametrize("name", ["games", "sales"])
def test_both_engines_agree_on_every_event_and_none_sees_what_is_not_known(
    name: str, request: pytest.FixtureRequest
) -> None:
    case, table = request.getfixturevalue(name)
    assert case.events is not None
    spec = FeatureSpec.of(case)
    batch = np.ascontiguousarray(compute(spec, table).select(spec.names).to_numpy())
    engine, events = EventEngine(spec), list(events_of(spec, table))
    order = sorted(range(len(events)), key=lambda row: (events[row].time, events[row].key))
    waiting, known_after = list(order), to_microseconds(case.events.known_after)
    for row in order:
        event = events[row]
        # A server that has learned no more than what had ended, and is sent no outcome.
        while waiting and events[waiting[0]].time + known_after <= event.time:
            engine.learn(events[waiting.pop(0)])
        known = {name: value for name, value in event.numbers.items() if name not in case.events.outcomes}
        assert np.array_equal(engine.row(replace(event, numbers=known)), batch[row], equal_nan=True), event
