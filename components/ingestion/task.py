"""Entry point of the ingestion component."""

import os
from pathlib import Path
from typing import Any

from almanac.core.errors import SourceError
from almanac.core.files import write_json
from almanac.core.progress import summary
from almanac.data.fetch import fingerprint_of
from almanac.data.ingest import ingest
from almanac.usecase import digest, load_text
from almanac.usecase.views import reads


def run(
    usecase: str, base: Path, table: Path, lineage: Path, fingerprint: str = ""
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ingest, write the lineage, and return the metadata of both artifacts.

    The cache is the directory in the environment variable ALMANAC_CACHE, by default .cache.

    Raises:
        SourceError: a source failed, or has changed since its fingerprint was taken.
    """
    case = reads(load_text(usecase, "usecase"), "ingestion")
    record = ingest(case, base, Path(os.environ.get("ALMANAC_CACHE", ".cache")), table)
    # Otherwise this table would be reused whenever the sources return to the content of the fingerprint.
    if fingerprint and fingerprint != fingerprint_of({one["name"]: one["sha256"] for one in record["sources"]}):
        table.unlink()
        raise SourceError("a source changed while the pipeline read it; start the run again")
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
