"""The lineage record of a table: its sources and a digest of its content."""

import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl

from almanac.core.errors import TableError
from almanac.core.files import canonical_json, whole_file
from almanac.data.cache import Content
from almanac.usecase import UseCase
from almanac.usecase.data_section import Source

_KEY = "almanac.lineage"


def source_record(source: Source, content: Content, table: pl.DataFrame, usecase: UseCase) -> dict[str, Any]:
    """Return the record of one source."""
    time = table[usecase.time.column]
    return {
        "name": source.name,
        "kind": source.type,
        "title": source.title,
        "url": source.url,
        "licence": source.licence,
        "location": content.location,
        "sha256": content.sha256,
        "bytes": len(content.data),
        "fetched_at": content.fetched_at,
        "rows": table.height,
        "columns": [name for name in table.columns if name in usecase.columns],
        "time_span": [_iso(time.min()), _iso(time.max())],
    }


def table_record(table: pl.DataFrame) -> dict[str, Any]:
    """Return digest, rows and columns of a table."""
    return {"sha256": table_digest(table), "rows": table.height, "columns": table.columns}


def table_digest(table: pl.DataFrame) -> str:
    """Return a sha256 of a table's names, types and values, independent of file format and library versions."""
    digest = hashlib.sha256()
    for column in table:
        digest.update(f"{column.name} {column.dtype} {column.len()}\n".encode())
        # Missing values count apart, because they are replaced by values for the bytes below.
        digest.update(column.is_null().to_numpy().tobytes())
        if column.dtype == pl.String:
            filled = column.fill_null("")
            # The lengths distinguish the texts ab, c from a, bc.
            digest.update(filled.str.len_bytes().cast(pl.Int64).to_numpy().tobytes())
            digest.update("".join(filled.to_list()).encode())
        else:
            whole = column.to_physical()
            digest.update(whole.fill_null(0).to_numpy().tobytes())
    return digest.hexdigest()


def write_table(path: Path, table: pl.DataFrame, lineage: dict[str, Any]) -> None:
    """Write a table as Parquet with its lineage, atomically."""
    with whole_file(path) as aside:
        table.write_parquet(aside, compression="zstd", metadata={_KEY: canonical_json(lineage).decode()})


def read_lineage(path: Path) -> dict[str, Any] | None:
    """Return the lineage of a Parquet table, None if it has none.

    Raises:
        TableError: the file is not a Parquet table.
    """
    try:
        text = pl.read_parquet_metadata(path).get(_KEY)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{path}: is not a Parquet table: {str(error).splitlines()[0]}") from None
    return None if text is None else json.loads(text)


def without_times(lineage: dict[str, Any]) -> dict[str, Any]:
    """Return the lineage without the times of fetching, which would change the bytes of equal tables."""
    sources = [{key: value for key, value in source.items() if key != "fetched_at"} for source in lineage["sources"]]
    return {**lineage, "sources": sources}


def _iso(time: Any) -> str:
    return str(time.isoformat())
