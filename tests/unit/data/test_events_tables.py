"""Reading tables of events: rows brought side by side, joins by key and time, derived columns, the mirror, R data."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from almanac.core.errors import TableError, UseCaseError
from almanac.core.files import sha256_bytes
from almanac.data.cache import Cache
from almanac.data.derive import derive
from almanac.data.formats.rdata import KIND as RDATA
from almanac.data.ingest import ingest
from almanac.data.join_by_keys import join_by_keys
from almanac.data.mirror import from_mirror
from almanac.data.shape import shaped
from almanac.data.sources.file import FileSource
from almanac.data.times import parse_time
from almanac.usecase import UseCase, load
from almanac.usecase.column_section import Column
from almanac.usecase.data_section import Join, Read, TimeFormat
from almanac.usecase.override import load_with

ROOT = Path(__file__).resolve().parents[3]
BASE = load(ROOT / "usecases" / "traffic.yaml")
#: Box scores hold a row for each game, source and team.
BOX = pl.DataFrame(
    {
        "key": ["g1", "g1", "g1", "g1", "g2", "g2"],
        "source": ["evt", "evt", "box", "box", "evt", "evt"],
        "home": ["1", "0", "1", "0", "0", "1"],
        "team": ["ANA", "BOS", "ANA", "BOS", "DET", "CHN"],
        "runs": ["5", "3", "5", "3", "0", "1"],
    }
)
PAIR = {"by": "key", "role": "home", "roles": {"away": "0", "home": "1"}, "first": "home", "columns": ["runs"]}


def read(**fields: object) -> Read:
    return Read.model_validate({"time": {"column": "day"}, **fields})


def test_the_rows_of_an_event_come_side_by_side() -> None:
    found = shaped(BOX, read(only={"source": ["evt"]}, pair=PAIR), "sources.box")
    assert found.rows(named=True) == [
        {"key": "g1", "source": "evt", "team": "ANA", "home_runs": "5", "away_runs": "3"},
        {"key": "g2", "source": "evt", "team": "CHN", "home_runs": "1", "away_runs": "0"},
    ]


def test_an_event_that_stands_twice_in_a_file_is_refused() -> None:
    with pytest.raises(
        TableError, match=r"g1 has more than one row with home 0 \(away\); choose one of them by read.only"
    ):
        shaped(BOX, read(pair=PAIR), "sources.box")
    with pytest.raises(TableError, match="1 keys lack a row of some role, first: g2"):
        shaped(BOX.head(5), read(only={"source": ["evt"]}, pair=PAIR), "sources.box")
    with pytest.raises(TableError, match=r"read.only: no row has these values"):
        shaped(BOX, read(only={"source": ["cards"]}), "sources.box")
    with pytest.raises(TableError, match=r"read.only: column 'phase' is missing"):
        shaped(BOX, read(only={"phase": ["R"]}), "sources.box")


NOON = datetime(2016, 4, 4, 19)
GAMES = pl.DataFrame(
    {"day": [NOON, NOON], "game": ["g1", "g2"], "start": [(NOON - datetime(1970, 1, 1)).total_seconds(), None]}
)
LINES = pl.DataFrame(
    {
        "day": [NOON + timedelta(minutes=m) for m in (-300, -61, -60, -59, 0, 1)],
        "game": ["g1"] * 6,
        "price": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    }
)


def joined(**terms: object) -> list[float | None]:
    source = BASE.sources[0].model_copy(
        update={"name": "lines", "join": Join.model_validate({"keys": ["game"], **terms})}
    )
    case = BASE.model_copy(update={"time": BASE.time.model_copy(update={"column": "day"})})
    return join_by_keys(GAMES, LINES, source, case)["price"].to_list()


def test_a_row_joins_by_key_as_it_was_known_before_the_event() -> None:
    # An hour before the start, at the start, and never after it: lines go on while a game is played.
    assert joined(until="start", less="60min") == [3.0, None]
    assert joined(until="start") == [5.0, None]
    assert joined(until="start", take="oldest") == [1.0, None]
    assert joined(until="start", less="2h", tolerance="1h") == [None, None]
    assert joined(less="60min") == [3.0, None]
    with pytest.raises(TableError, match=r"sources.lines.join: g1 has several rows; take the newest or the oldest"):
        joined(take="only")


def test_a_time_may_stand_in_several_columns_and_be_pacific() -> None:
    raw = pl.DataFrame({"date": ["2016-04-04"], "number": ["2"], "entered": ["1459677877.5"]})
    several = TimeFormat.model_validate({"columns": ["date", "number"], "format": "%Y-%m-%d %H"})
    assert parse_time(raw, several, "day", "sources.box")[0] == datetime(2016, 4, 4, 2)
    pacific = TimeFormat.model_validate({"column": "entered", "format": "epoch_s", "zone": "America/Los_Angeles"})
    # Seven hours later than it is written, in summer time.
    assert parse_time(raw, pacific, "day", "sources.lines")[0] == datetime(2016, 4, 3, 17, 4, 37, 500_000)


def derived(operation: str, left: Sequence[float | None], right: Sequence[float | None]) -> list[float | None]:
    terms = {"operation": operation, "left": "left", **({} if operation == "log" else {"right": "right"})}
    column = Column.model_validate({"type": "float", "description": "derived", "derived": terms})
    case = BASE.model_copy(update={"columns": {"found": column}})
    table = pl.DataFrame({"left": left, "right": right}, schema={"left": pl.Float64, "right": pl.Float64})
    return derive(table, case)["found"].to_list()


def test_columns_are_derived_from_others_of_their_row() -> None:
    left, right = [6.0, 1.0, None, 0.0], [3.0, 0.0, 2.0, 0.0]
    assert derived("sum", left, right) == [9.0, 1.0, None, 0.0]
    assert derived("difference", left, right) == [3.0, 1.0, None, 0.0]
    assert derived("product", left, right) == [18.0, 0.0, None, 0.0]
    assert derived("ratio", left, right) == [2.0, None, None, None]
    assert derived("greater", left, right) == [1.0, 1.0, None, 0.0]
    assert derived("log", [1.0, 0.0], [None, None]) == [0.0, None]
    # -150 implies 0.6, +130 implies 1/2.3; together 1.0348.
    assert derived("us_odds", [-150.0], [130.0]) == [pytest.approx(0.6 / (0.6 + 1 / 2.3))]


def test_a_file_with_the_declared_digest_comes_from_the_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, folder = Cache(tmp_path / "cache"), tmp_path / "mirror" / "mlb"
    folder.mkdir(parents=True)
    (folder / "any name.csv").write_bytes(b"a,b\n1,2\n")
    assert from_mirror(sha256_bytes(b"a,b\n1,2\n"), cache) is None
    monkeypatch.setenv("ALMANAC_MIRROR", str(tmp_path / "mirror"))
    found = from_mirror(sha256_bytes(b"a,b\n1,2\n"), cache)
    assert found is not None
    assert (found.data, found.location) == (b"a,b\n1,2\n", "ALMANAC_MIRROR: mlb/any name.csv")
    assert from_mirror("0" * 64, cache) is None


def test_an_r_data_frame_is_read_with_its_types_and_missing_values(tmp_path: Path) -> None:
    rdata = pytest.importorskip("rdata")
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"game": ["g1", "g2"], "runs": [4.0, float("nan")]})
    rdata.write_rda(tmp_path / "games.rda", {"games": frame})
    table = RDATA.parse((tmp_path / "games.rda").read_bytes(), read(format="rdata"))
    assert table.schema == {"game": pl.String, "runs": pl.Float64}
    assert table.rows() == [("g1", 4.0), ("g2", None)]
    rdata.write_rda(tmp_path / "two.rda", {"games": frame, "teams": frame})
    with pytest.raises(ValueError, match=r"holds 2 objects; name one in 'read\.table': games, teams"):
        RDATA.parse((tmp_path / "two.rda").read_bytes(), read(format="rdata"))


def test_two_files_make_one_table(tmp_path: Path) -> None:
    for name, rows in (("a.csv", "2020-01-01T00:00,1,\n2020-01-01T01:00,2,\n"), ("b.csv", "2020-01-01T02:00,3,\n")):
        (tmp_path / name).write_text(f"timestamp,volume,temp\n{rows}")
    case = two_files()
    record = ingest(case, tmp_path, tmp_path / "cache", tmp_path / "table.parquet")
    assert [source["rows"] for source in record["sources"]] == [2, 1]
    assert pl.read_parquet(tmp_path / "table.parquet")["volume"].to_list() == [1.0, 2.0, 3.0]
    (tmp_path / "b.csv").write_text("timestamp,temp\n2020-01-01T02:00,3\n")
    with pytest.raises(TableError, match=r"sources.second: comes below first; only one of them has 'volume'"):
        ingest(two_files(), tmp_path, tmp_path / "cache", tmp_path / "table.parquet")


def two_files() -> UseCase:
    source = {"type": "file", "title": "t", "licence": "none", "read": {"time": {"column": "timestamp"}}}
    first = FileSource.model_validate({**source, "name": "first", "path": "a.csv"})
    second = FileSource.model_validate({**source, "name": "second", "path": "b.csv", "below": True})
    columns = {name: Column.model_validate({"type": "float", "description": name}) for name in ("volume", "temp")}
    return BASE.model_copy(update={"sources": [first, second], "columns": columns})


def test_rules_name_what_is_wrong_with_events(tmp_path: Path) -> None:
    with pytest.raises(UseCaseError, match=r"targets.congestion_3h: baselines, stakes and signals belong to events"):
        load_with(ROOT / "usecases" / "traffic.yaml", ["targets.congestion_3h.baselines={market: volume}"])
    # The gap before a fold is the horizon: with a shorter one a label would be learned that was not known yet.
    with pytest.raises(UseCaseError, match=r"horizon: 23h is shorter than events.known_after, 24h"):
        load_with(ROOT / "usecases" / "card_sales.yaml", ["targets.0.horizon=23h"])
