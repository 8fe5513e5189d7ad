"""Entry point of the ingestion component."""

import os
from pathlib import Path
from typing import Any

from almanac.core.files import write_json
from almanac.core.progress import summary
from almanac.data.ingest import ingest
from almanac.usecase import digest, load_text


def run(usecase: str, base: Path, table: Path, lineage: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ingest, write the lineage, and return the metadata of both artifacts.

    The cache is the directory in the environment variable ALMANAC_CACHE, by default .cache.
    """
    case = load_text(usecase, "usecase")
    record = ingest(case, base, Path(os.environ.get("ALMANAC_CACHE", ".cache")), table)
    write_json(lineage, record)
    sources = {f"source_{source['name']}_sha256": source["sha256"] for source in record["sources"]}
    made_of = {"use_case": case.name, "use_case_digest": digest(case), **sources}
    rows = int(record["table"]["rows"])
    summary(_sources(record), rows)
    return {**made_of, "rows": rows, "data_digest": record["table"]["sha256"]}, made_of


def _sources(record: dict[str, Any]) -> str:
    start, end = record["sources"][0]["time_span"]
    count = len(record["sources"])
    return f"{count} source{'s' * (count != 1)}, {start[:10]} to {end[:10]}"
