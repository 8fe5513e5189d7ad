"""The raw columns that the feature store keeps and the feature engine reads."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from almanac.core.errors import ModelError
from almanac.core.files import canonical_json, sha256_bytes
from almanac.core.grid import Grid, OpenGrid
from almanac.core.levels import codes_of
from serving.features.values import category, json_type, number, shortened
from serving.runtime.errors import invalid

#: Microseconds to the year 10000.
_FAR = 253_402_300_800_000_000


@dataclass(frozen=True)
class RawColumn:
    """One raw column with its declared range or categories."""

    name: str
    categories: tuple[str, ...] | None
    low: float
    high: float
    nullable: bool

    @cached_property
    def codes(self) -> dict[str, float]:
        """Code of each category: its position among the declared ones."""
        return codes_of(self.categories or ())

    def value(self, value: Any, location: str) -> float:
        """Return one value as float64, a category as its code, NaN for null.

        Raises:
            HTTPError: a value of another type, or beyond the declared range.
        """
        if value is None:
            if not self.nullable:
                raise invalid(f"{location}: null, but {self.name} must have a value")
            return float("nan")
        if self.categories is not None:
            return category(self.codes, value, location)
        result = number(value, location)
        if not self.low <= result <= self.high:
            raise invalid(f"{location}: {result:g} is beyond the declared range {self.low:g} to {self.high:g}")
        return result


@dataclass(frozen=True)
class RawSchema:
    """The raw columns of a model.

    Attributes:
        time: name of the time column.
        columns: the other columns, in order.
        grid: grid of the times.
    """

    time: str
    columns: tuple[RawColumn, ...]
    grid: Grid

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns without the time."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def digest(self) -> str:
        """Digest of the row layout; rows of another layout cannot be read."""
        # Without ranges: another range does not change the meaning of stored rows.
        parts = [[column.name, list(column.categories or ())] for column in self.columns]
        closed = [asdict(self.grid.days)] if isinstance(self.grid, OpenGrid) else []
        return sha256_bytes(canonical_json([parts, self.grid.step, *closed]))[:12]

    def step_of(self, value: Any, location: str) -> int:
        """Return the grid step of a time in ISO 8601, UTC if it names no zone.

        Raises:
            HTTPError: another form, or a time between two grid times or on a closed day.
        """
        micros, grid = micros_of(value, location), self.grid
        if micros % grid.step:
            raise invalid(f"{location}: {shortened(value)} does not lie on the grid of {grid.step / 1e6:g} s")
        step = grid.number(micros)
        if grid.time(step) != micros:
            following = f"the next open day is {self.time_text(step)[:10]}"
            raise invalid(f"{location}: {shortened(value)} is a day that the model's calendar has closed; {following}")
        return step

    def time_text(self, step: int) -> str:
        """Return a grid step as ISO 8601."""
        return datetime.fromtimestamp(self.grid.time(step) / 1e6, UTC).replace(tzinfo=None).isoformat()


def micros_of(value: Any, location: str) -> int:
    """Return a time in microseconds since the epoch."""
    if not isinstance(value, str):
        raise invalid(f"{location}: {json_type(value)}; expected a time such as 2014-01-01T00:00:00")
    try:
        time = datetime.fromisoformat(value)
    except ValueError as error:
        raise invalid(f"{location}: {shortened(value)} is not a time such as 2014-01-01T00:00:00") from error
    # Tables have naive UTC times, so clients may send them too.
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    try:
        since = time.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    except OverflowError as error:
        raise invalid(f"{location}: {shortened(value)} is out of reach") from error
    # In integers: a float of seconds cannot hold every microsecond, and the grid is checked exactly.
    micros = (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
    if not 0 <= micros < _FAR:
        raise invalid(f"{location}: {shortened(value)} is before 1970")
    return micros


def read_schema(inputs: Sequence[Mapping[str, Any]], grid: Grid, entity: str | None = None) -> RawSchema:
    """Read the raw columns from signature.json's inputs.

    Args:
        inputs: the inputs, keys among them.
        grid: grid of the times.
        entity: the entity column, which is a key and no value.

    Raises:
        ModelError: no column of type timestamp.
    """
    times = [str(item["name"]) for item in inputs if item["type"] == "timestamp"]
    if not times:
        raise ModelError("signature.json: inputs has no column of type timestamp")
    columns = [
        RawColumn(
            name=str(item["name"]),
            categories=tuple(item["categories"]) if item.get("categories") else None,
            low=float("-inf") if item.get("min") is None else float(item["min"]),
            high=float("inf") if item.get("max") is None else float(item["max"]),
            nullable=item.get("nullable") is not False,
        )
        for item in inputs
        if item["type"] in ("float", "integer", "category") and item["name"] != entity
    ]
    return RawSchema(times[0], tuple(columns), grid)
