"""Columns from the name of a file."""

import re

import polars as pl

from almanac.core.errors import TableError

_FOLDER = re.compile(r"([^/=]+)=([^/]*)/")


def with_name(table: pl.DataFrame, name: str, pattern: str | None, location: str) -> pl.DataFrame:
    """Return a file's table with the columns that the file's name gives.

    Args:
        table: Raw table.
        name: Path of the file; each of its folders of the form year=2015 gives a column.
        pattern: Regular expression with named groups, each of which gives a column; None for none.
        location: The file, for errors.

    Raises:
        TableError: the name does not have the form, or the file has such a column already.
    """
    values: dict[str, str] = dict(_FOLDER.findall(name))
    if pattern is not None:
        match = re.search(pattern, name)
        if match is None:
            raise TableError(f"{location}: its name does not have the form of 'read.from_name', {pattern!r}")
        values |= {group: text for group, text in match.groupdict().items() if text is not None}
    if twice := [key for key in values if key in table.columns]:
        raise TableError(f"{location}: the column {twice[0]!r} is in the file and in its name; rename the group")
    return table.with_columns(pl.lit(text, pl.String).alias(key) for key, text in values.items())
