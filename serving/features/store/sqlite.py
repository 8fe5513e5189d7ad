"""The feature store in an SQLite file, which the workers of one machine share."""

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from almanac.core.arrays import Array
from serving.features.store.base import Batch, RowsDroppedError, StoreUnavailableError, check_entities
from serving.features.store.rows import LAYOUT, pack_rows, row_size, unpack_rows

# WITHOUT ROWID stores rows in the order of the key, so that a window is one range of the file.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS observation (
    namespace TEXT NOT NULL, entity TEXT NOT NULL, step INTEGER NOT NULL, row BLOB NOT NULL,
    PRIMARY KEY (namespace, entity, step)
) WITHOUT ROWID
"""
# kept_from: the step before which rows exist that this file was not given; 0 for none.
_SERIES = """
CREATE TABLE series (
    namespace TEXT NOT NULL, entity TEXT NOT NULL, newest INTEGER NOT NULL, kept_from INTEGER NOT NULL,
    PRIMARY KEY (namespace, entity)
) WITHOUT ROWID
"""
# Files of earlier releases have rows and no series.
_COLLECT = "INSERT INTO series SELECT namespace, entity, max(step), 0 FROM observation GROUP BY namespace, entity"
_UPSERT = "INSERT OR REPLACE INTO observation VALUES (?, ?, ?, ?)"
_FILL = "INSERT OR IGNORE INTO observation VALUES (?, ?, ?, ?)"
_WINDOW = "SELECT step, row FROM observation WHERE namespace = ? AND entity = ? AND step BETWEEN ? AND ?"
_KEPT_FROM = "SELECT kept_from FROM series WHERE namespace = ? AND entity = ?"
_NOTE = """
INSERT INTO series VALUES (?1, ?2, ?3, 0) ON CONFLICT DO UPDATE SET newest = max(newest, excluded.newest)
"""
# The row whose absence was noted is here after all.
_COMPLETE = """
UPDATE series SET kept_from = 0 WHERE namespace = ?1 AND entity = ?2 AND kept_from > 0 AND EXISTS (
    SELECT 1 FROM observation WHERE namespace = ?1 AND entity = ?2 AND step = kept_from - 1
)
"""
_FORGET = """
INSERT INTO series VALUES (?1, ?2, -1, ?3) ON CONFLICT DO UPDATE SET kept_from = max(kept_from, excluded.kept_from)
"""
_NEWEST = "SELECT max(newest) FROM series WHERE namespace = ? AND newest >= 0"


class SqliteStore:
    """Rows in an SQLite file in write-ahead mode, so that readers never wait for a writer.

    Reads take a hundred microseconds and run in the event loop; writes wait for the disk, so they run in a thread.

    Args:
        path: the file; created if missing.
        namespace: schema of the rows; rows of other schemas are not read.
        width: numbers in a row.
        most_entities: most entities.
    """

    kind = "sqlite"
    most: int | None = None

    def __init__(self, path: Path, namespace: str, width: int, most_entities: int = 10_000) -> None:
        self._namespace = f"{LAYOUT}:{namespace}"
        self._width = width
        self._most_entities = most_entities
        # One thread, since two must not use the writer's connection at once.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="almanac-sqlite")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Two connections: on one, a reader would wait for the writer's commit.
            self._reader = _connect(path)
            self._writer = _connect(path)
            _create(self._writer)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailableError(f"{path}: {error}") from error

    async def append(self, batch: Batch) -> int:
        """Store rows; see Store."""
        return await self._write(_UPSERT, batch)

    async def fill(self, batch: Batch) -> int:
        """Store missing rows; see Store."""
        return await self._write(_FILL, batch)

    async def _write(self, statement: str, batch: Batch) -> int:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._run, statement, batch)
        return 0

    def _run(self, statement: str, batch: Batch) -> None:
        size, newest = row_size(self._width), {entity: max(steps) for entity, (steps, _) in batch.items()}
        with self._transaction() as writer:
            self._check(writer, list(batch))
            for entity, (steps, rows) in batch.items():
                packed = pack_rows(rows)
                writer.executemany(
                    statement,
                    (
                        (self._namespace, entity, step, packed[at * size : (at + 1) * size])
                        for at, step in enumerate(steps)
                    ),
                )
                writer.execute(_NOTE, (self._namespace, entity, newest[entity]))
                writer.execute(_COMPLETE, (self._namespace, entity))

    def _check(self, writer: sqlite3.Connection, entities: list[str]) -> None:
        new = [one for one in entities if writer.execute(_KEPT_FROM, (self._namespace, one)).fetchone() is None]
        if new:
            counted = writer.execute("SELECT count(*) FROM series WHERE namespace = ?", (self._namespace,))
            check_entities(counted.fetchone()[0], len(new), self._most_entities)

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._writer)

    async def window(self, entity: str, end: int, count: int) -> Array:
        """Return rows; see Store."""
        first = end - count + 1
        try:
            kept = self._reader.execute(_KEPT_FROM, (self._namespace, entity)).fetchone()
            stored = dict(self._reader.execute(_WINDOW, (self._namespace, entity, first, end)).fetchall())
        except sqlite3.Error as error:
            raise StoreUnavailableError(str(error)) from error
        if kept is not None and max(0, first) < kept[0]:
            raise RowsDroppedError(entity, kept[0])
        absent = bytes(row_size(self._width))
        data = b"".join(stored.get(step, absent) for step in range(first, end + 1))
        try:
            return unpack_rows(data, count, self._width)
        except ValueError as error:
            raise StoreUnavailableError(f"rows of {entity} cannot be read: {error}") from error

    async def windows(self, keys: Sequence[tuple[str, int, int]]) -> list[Array]:
        """Return rows of several windows; other requests are answered in between. See Store."""
        windows = []
        for key in keys:
            windows.append(await self.window(*key))
            await asyncio.sleep(0)
        return windows

    async def newest(self, entity: str | None) -> int | None:
        """Return the newest step; see Store."""
        statement, parameters = (_NEWEST, ()) if entity is None else (f"{_NEWEST} AND entity = ?", (entity,))
        try:
            row = self._reader.execute(statement, (self._namespace, *parameters)).fetchone()
        except sqlite3.Error as error:
            raise StoreUnavailableError(str(error)) from error
        return None if row[0] is None else int(row[0])

    async def forget(self, entity: str, before: int) -> None:
        """Note rows that the store does not get; see Store."""

        def run() -> None:
            with self._transaction() as writer:
                self._check(writer, [entity])
                writer.execute(_FORGET, (self._namespace, entity, before))

        await asyncio.get_running_loop().run_in_executor(self._thread, run)

    async def close(self) -> None:
        """Close the file."""
        self._thread.shutdown()
        self._reader.close()
        self._writer.close()


class _Transaction:
    """A write transaction, begun before its first reading, so that no other process writes in between."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise StoreUnavailableError(str(error)) from error
        return self._connection

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self._connection.commit()
                return
            self._connection.rollback()
        except sqlite3.Error as failed:
            # A commit that failed, as on a full disk, leaves the transaction open.
            if self._connection.in_transaction:
                self._connection.rollback()
            raise StoreUnavailableError(str(failed)) from failed
        if isinstance(error, sqlite3.Error):
            raise StoreUnavailableError(str(error)) from error


def _create(connection: sqlite3.Connection) -> None:
    with _Transaction(connection):
        connection.execute(_SCHEMA)
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'series'").fetchone():
            connection.execute(_SERIES)
            connection.execute(_COLLECT)


def _connect(path: Path) -> sqlite3.Connection:
    # The warm-up opens the store in a thread; the event loop and the writer's thread then use it.
    connection = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    # A crash of the machine may lose the last rows, but cannot damage the file.
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection
