"""`python -m serving ingest FILE`: append the rows of a Parquet file to a server or to a store."""

import argparse
import asyncio
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from almanac.core.errors import ServingError
from serving.features.store.tables import plain_rows, read_table

_CHUNK = 2000


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code.

    Raises:
        AlmanacError: a file that cannot be read, rows that the server refuses, or a store that does not answer.
    """
    given = _parser().parse_args(arguments)
    rows = read_rows(given.file, given.newest)
    taken = asyncio.run(_to_store(given, rows)) if given.model else _to_server(given, rows)
    kept, dropped = (sum(counts) for counts in zip(*taken, strict=True))
    print(f"{kept} rows ingested" + (f", {dropped} are older than what the store keeps" if dropped else ""))
    return 0


def read_rows(path: Path, newest: int | None = None) -> list[dict[str, Any]]:
    """Return the rows of a Parquet file as JSON values, times as ISO 8601.

    Raises:
        ServingError: not a Parquet file.
    """
    table = read_table(path)
    return plain_rows(table if newest is None else table.slice(max(0, table.num_rows - newest)))


def _chunks(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for at in range(0, len(rows), _CHUNK):
        yield rows[at : at + _CHUNK]


def _to_server(given: argparse.Namespace, rows: list[dict[str, Any]]) -> list[tuple[int, int]]:
    if not given.url or not given.model_name:
        raise ServingError("give --url and --model-name of a server, or --model and --feature-store of a store")
    if not given.url.startswith(("http://", "https://")):
        raise ServingError(f"--url {given.url}: an http or https address")
    headers = {"content-type": "application/json"}
    if key := os.environ.get("ALMANAC_API_KEY"):
        headers["x-api-key"] = key
    address = f"{given.url.rstrip('/')}/v1/models/{given.model_name}:ingest"
    taken = []
    for chunk in _chunks(rows):
        data = json.dumps({"observations": chunk}).encode()
        request = urllib.request.Request(address, data=data, headers=headers)  # noqa: S310  (checked above)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                document = json.load(answer)
                taken.append((document["ingested"], document.get("dropped", 0)))
        except urllib.error.HTTPError as error:
            raise ServingError(f"{address}: {error.code} {error.read().decode(errors='replace')}") from error
        except OSError as error:
            raise ServingError(f"{address}: {error}") from error
    return taken


async def _to_store(given: argparse.Namespace, rows: list[dict[str, Any]]) -> list[tuple[int, int]]:
    from prometheus_client import CollectorRegistry

    from monitoring.metrics import Metrics
    from serving.build import open_ingestor
    from serving.prediction.source import Source

    if given.feature_store == "memory://":
        raise ServingError("--feature-store memory:// lives in a server's process; ingest with --url")
    bundle = Source(given.model).load()
    ingestor = open_ingestor(given.feature_store, bundle, Metrics(CollectorRegistry()))
    try:
        taken = [await ingestor.append(bundle, chunk) for chunk in _chunks(rows)]
        return [(part.kept, part.dropped) for part in taken]
    finally:
        await ingestor.store.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m serving ingest", description="Append observations to a feature store")
    parser.add_argument("file", type=Path, help="Parquet file with the raw columns")
    parser.add_argument("--newest", type=int, help="only so many of the last rows")
    parser.add_argument("--url", help="address of a server; its key comes from ALMANAC_API_KEY")
    parser.add_argument("--model-name", help="name of a model of that server")
    parser.add_argument("--model", help="or the model whose columns they are, as the server's --model")
    parser.add_argument("--feature-store", default=os.environ.get("ALMANAC_FEATURE_STORE", "memory://"))
    return parser
