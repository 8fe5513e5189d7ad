"""Ingestion: fetch the declared sources and join them to one typed table with its lineage."""

from pathlib import Path
from typing import Any

from almanac.data.cache import Cache
from almanac.data.disk import named_when_full
from almanac.data.fetch import fetch
from almanac.data.join import join
from almanac.data.lineage import source_record, table_record, write_table
from almanac.data.read import read_table
from almanac.data.sources import FetchContext, RetryPolicy
from almanac.usecase import UseCase

_DEFAULT_RETRIES = RetryPolicy()


def ingest(
    usecase: UseCase, base: Path, cache: Path, out_table: Path, retries: RetryPolicy = _DEFAULT_RETRIES
) -> dict[str, Any]:
    """Fetch, read and join the sources of a use case, and write the table.

    Args:
        usecase: The use case.
        base: Directory of the use case file; paths of file sources are relative to it.
        cache: Directory of the cache, which may be shared by use cases and processes.
        out_table: Where to write the table as Parquet: the time column (Datetime[us], naive UTC), the entity
            (String) where there is one, and the declared columns in their order (Float64 or String); one row
            for each row of the first source, in its order.
        retries: Retry policy for the addresses of http sources.

    Returns:
        The lineage: {"sources": [{name, kind, title, url, licence, location, sha256, bytes, fetched_at, rows,
        columns, time_span}], "table": {sha256, rows, columns}}. The Parquet file carries it too.

    Raises:
        SourceError: a source is unreachable, altered or unreadable, or the disk is full.
        TableError: a column is missing, undeclared or of another type, or a time cannot be read.
    """
    with named_when_full(cache, out_table):
        context = FetchContext(base, Cache(cache), retries)
        tables, records = [], []
        for source in usecase.sources:
            content = fetch(source, context)
            table = read_table(source, content.data, usecase)
            tables.append((source, table))
            records.append(source_record(source, content, table, usecase))
        joined = join(tables, usecase)
        lineage = {"sources": records, "table": table_record(joined)}
        write_table(out_table, joined, lineage)
    return lineage
