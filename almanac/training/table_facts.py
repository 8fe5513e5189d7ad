"""Facts about the validated table, for the documents that describe the data."""

from pathlib import Path
from typing import Any

import polars as pl

from almanac.core.files import sha256_file
from almanac.usecase import UseCase


def table_facts(usecase: UseCase, path: Path) -> dict[str, Any]:
    """Return size, span and missing values of the validated table, as tuning.json holds them.

    Returns:
        {"sha256", "rows", "from", "to", "columns": {name: {"missing": share}}}; the share is of all rows of the
        complete grid, so that times without a row in any source count as missing.
    """
    time, names = pl.col(usecase.time.column), list(usecase.columns)
    summary = pl.scan_parquet(path).select(
        pl.len().alias("rows"),
        time.min().alias("from"),
        time.max().alias("to"),
        *(pl.col(name).null_count().alias(f"missing {name}") for name in names),
    )
    facts = summary.collect().row(0, named=True)
    columns = {name: {"missing": facts[f"missing {name}"] / facts["rows"]} for name in names}
    span = {edge: facts[edge].isoformat() for edge in ("from", "to")}
    return {"sha256": sha256_file(path), "rows": facts["rows"], **span, "columns": columns}
