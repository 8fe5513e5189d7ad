"""`ingest`: append the rows of a Parquet file to a server or to a feature store."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from almanac.core.errors import ServingError
from serving.commands.client import ask
from serving.features.store.tables import plain_rows, read_table

_CHUNK = 2000
#: Arrow's types of texts.
_TEXTS = frozenset({"string", "large_string", "string_view"})
Rows = list[dict[str, Any]]


def ingest(
    file: Annotated[Path, Argument(help="Parquet file with the raw columns.")],
    newest: Annotated[int | None, Option(help="Only so many of the last rows.")] = None,
    url: Annotated[str | None, Option(help="Address of a server; its key is read from ALMANAC_API_KEY.")] = None,
    model_name: Annotated[str | None, Option(help="Name of a model of that server.")] = None,
    model: Annotated[str | None, Option(help="Model of a store's columns, as the server's --model names it.")] = None,
    feature_store: Annotated[
        str, Option(envvar="ALMANAC_FEATURE_STORE", help="sqlite:///path or redis://host:port/db.")
    ] = "memory://",
) -> None:
    """Append observations to a server's feature store."""
    table = read_table(file)
    first = 0 if newest is None else max(0, table.num_rows - newest)
    rows = plain_rows(table.slice(first))
    chunks = [rows[at : at + _CHUNK] for at in range(0, len(rows), _CHUNK)]
    if model:
        counts = asyncio.run(_to_store(chunks, table.slice(0, first), model, feature_store))
    else:
        counts = list(_to_server(chunks, table.slice(0, first), url, model_name))
    kept, dropped = sum(count for count, _ in counts), sum(count for _, count in counts)
    print(f"{kept} rows ingested" + (f", {dropped} are older than what the store keeps" if dropped else ""))
    if first:
        print(f"{first} older rows are left out; times that look back on them are a 409")


def _to_server(chunks: list[Rows], left: Any, url: str | None, model_name: str | None) -> Iterator[tuple[int, int]]:
    """Send rows to a server, after the newest ones that are left out."""
    if not url or not model_name:
        raise ServingError("give --url and --model-name of a server, or --model and --feature-store of a store")
    path = f"/v1/models/{model_name}:ingest"
    # First, so that meanwhile no time is answered that looks back on them.
    last = _last_rows(left)
    for at in range(0, len(last), _CHUNK):
        ask(url, path, {"left_out": last[at : at + _CHUNK]})
    # In chunks, to stay below the server's limit on bodies.
    for chunk in chunks:
        document = ask(url, path, {"observations": chunk})
        yield document["ingested"], document.get("dropped", 0)


def _last_rows(table: Any) -> Rows:
    """Return the last row for each combination of texts: which of them is the entity, the server knows."""
    names = [name for name in table.column_names if str(table.schema.field(name).type) in _TEXTS]
    if not names:
        return next(([row] for at in reversed(range(table.num_rows)) if _has_value(row := _row(table, at))), [])
    last = {key: at for at, key in enumerate(zip(*(table.column(name).to_pylist() for name in names), strict=True))}
    return [_row(table, at) for at in sorted(last.values())]


def _has_value(row: dict[str, Any]) -> bool:
    return any(isinstance(value, int | float) for value in row.values())


def _row(table: Any, at: int) -> dict[str, Any]:
    row: dict[str, Any] = plain_rows(table.slice(at, 1))[0]
    return row


async def _to_store(chunks: list[Rows], left: Any, model: str, feature_store: str) -> list[tuple[int, int]]:
    """Append rows to a store, and note the rows that are left out."""
    from prometheus_client import CollectorRegistry

    from monitoring.metrics import Metrics
    from serving.features.store.open import open_ingestor
    from serving.prediction.source import Source

    if feature_store == "memory://":
        raise ServingError("--feature-store memory:// is a server's own memory; ingest with --url")
    bundle = Source(model).load()
    ingestor = open_ingestor(feature_store, bundle, Metrics(CollectorRegistry()))
    try:
        for entity, time in _last_times(left, ingestor.schema.time, ingestor.entity).items():
            await ingestor.leave_out(entity, time)
        results = [await ingestor.append(bundle, chunk) for chunk in chunks]
        return [(result.kept, result.dropped) for result in results]
    finally:
        await ingestor.store.close()


def _last_times(table: Any, time: str, entity: str | None) -> dict[str, str]:
    """Return the time of each entity's last row."""
    # Imported here: `almanac keys` and the help would otherwise load the libraries of models.
    from serving.features.store.observations import DEFAULT_ENTITY

    names = table.column(entity).to_pylist() if entity else [DEFAULT_ENTITY] * min(1, table.num_rows)
    last = {name: at for at, name in enumerate(names)} if entity else dict.fromkeys(names, table.num_rows - 1)
    return {str(name): _row(table, at)[time] for name, at in last.items()}
