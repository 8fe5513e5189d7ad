"""Read observations from Parquet files; Arrow is imported only when one is read."""

from datetime import datetime
from pathlib import Path
from typing import Any

from almanac.core.errors import ServingError


def read_table(path: Path, columns: list[str] | None = None) -> Any:
    """Return a Parquet file as an Arrow table.

    Raises:
        ServingError: not a Parquet file, one without these columns, or no library that reads it.
    """
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ModuleNotFoundError as error:
        # The serving image leaves Arrow out, which is larger than the server.
        raise ServingError(
            f"{path}: reading Parquet needs {error.name}, which the serving image does not have; "
            "run the command in the components image or on a laptop"
        ) from None

    try:
        with parquet.ParquetFile(path) as file:
            if missing := sorted(set(columns or ()).difference(file.schema_arrow.names)):
                raise ServingError(f"{path}: no column {missing[0]}")
            return file.read(columns)
    except (OSError, pyarrow.ArrowException) as error:
        raise ServingError(f"{path}: cannot be read as Parquet ({error})") from error


def plain_rows(table: Any) -> list[dict[str, Any]]:
    """Return the rows of an Arrow table as JSON values, times as ISO 8601."""
    return [{name: _plain(value) for name, value in row.items()} for row in table.to_pylist()]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and value != value else value
