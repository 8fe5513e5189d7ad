"""Open the feature store of `--feature-store`."""

from pathlib import Path

from almanac.core.errors import ServingError
from almanac.model.bundle import Bundle
from monitoring.metrics import Metrics
from serving.features.row_layout import raw_schema
from serving.features.store.base import MeteredStore, Store
from serving.features.store.memory import MemoryStore
from serving.features.store.observations import Ingestor


def open_ingestor(url: str, bundle: Bundle, metrics: Metrics) -> Ingestor:
    """Open the feature store at `url` for the raw columns of a bundle.

    Raises:
        AlmanacError: a store that cannot be opened, or a model without raw columns.
    """
    schema, entity, history = raw_schema(bundle)
    namespace = f"{bundle.use_case}:{schema.digest}"
    store = MeteredStore(open_store(url, namespace, len(schema.names), history), metrics)
    return Ingestor(store, schema, entity, metrics)


def open_store(url: str, namespace: str, width: int, history: int) -> Store:
    """Return the store at `url`.

    Args:
        url: memory://, sqlite:///path or redis://host:port/db.
        namespace: schema of the rows.
        width: numbers in a row.
        history: steps that one prediction needs.

    Raises:
        ServingError: a URL of another kind, or a file that cannot be opened.
    """
    if url == "memory://":
        return MemoryStore(width, max(1024, 4 * history))
    if url.startswith("sqlite:///"):
        from serving.features.store.sqlite import SqliteStore

        return SqliteStore(Path(url.removeprefix("sqlite:///")), namespace, width)
    if url.startswith(("redis://", "rediss://", "unix://")):
        from serving.features.store.redis import RedisStore

        return RedisStore(url, namespace, width)
    raise ServingError(f"--feature-store {url}: one of memory://, sqlite:///path, redis://host:port/db")
