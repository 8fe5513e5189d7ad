"""The table of the second use case, with its flaws."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from almanac.data.ingest import ingest
from almanac.data.validate import validate
from almanac.usecase import UseCase, load

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> tuple[UseCase, Path, dict[str, Any]]:
    """The second use case, the directory of its valid table, and the result of its validation."""
    case, base = load(ROOT / "usecases" / "traffic.yaml"), tmp_path_factory.mktemp("traffic")
    ingest(case, ROOT / "usecases", ROOT / ".cache", base / "raw.parquet")
    return case, base, validate(case, base / "raw.parquet", base / "valid.parquet", base / "report.html")


def test_the_second_table_with_its_flaws(traffic: tuple[UseCase, Path, dict[str, Any]]) -> None:
    _, base, result = traffic
    found = [(finding["rule"], finding["column"], finding["count"]) for finding in result["findings"]]
    assert found == [
        ("range", "temp", 10),
        ("range", "rain", 1),
        ("duplicates", "timestamp", 7629),
        ("gaps", None, 2588),
    ]
    assert (result["rows_in"], result["rows"], result["inserted"]) == (48_204, 52_551, 11_976)
    longest = result["gaps"]["longest"][0]
    assert (longest["from"], longest["to"]) == ("2014-08-08T02:00:00", "2015-06-11T19:00:00")
    table = pl.read_parquet(base / "valid.parquet")
    raw = pl.read_parquet(base / "raw.parquet")
    first = raw.unique("timestamp", keep="first", maintain_order=True)
    present = table.filter(pl.col("volume").is_not_null())
    assert present["timestamp"].equals(first["timestamp"])
    assert present["volume"].equals(first["volume"])
    assert present["weather"].equals(first["weather"])
    assert table.filter(pl.col("volume").is_null()).select(pl.exclude("timestamp").null_count()).row(0) == (11_976,) * 7
    assert table["timestamp"].diff().drop_nulls().unique().to_list() == [table["timestamp"][1] - table["timestamp"][0]]
    temp, rain = table["temp"].drop_nulls(), table["rain"].drop_nulls()
    assert temp.is_between(230, 320).all()
    assert rain.is_between(0, 300).all()


def test_a_holiday_is_stretched_over_its_day(traffic: tuple[UseCase, Path, dict[str, Any]]) -> None:
    raw = pl.read_parquet(traffic[1] / "raw.parquet")
    days = raw.filter(pl.col("holiday") == 1)["timestamp"].dt
    assert set(days.hour().to_list()) == {0}
    assert days.date().n_unique() == 53
