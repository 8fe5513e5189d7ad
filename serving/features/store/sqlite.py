"""The feature store in an SQLite file, which the workers of one machine share."""

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from serving.features.store.base import StoreUnavailableError
from serving.features.store.rows import LAYOUT, pack_rows, row_size, unpack_rows

Array = npt.NDArray[np.float64]

# WITHOUT ROWID stores rows in the order of the key, so that a window is one range of the file.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS observation (
    namespace TEXT NOT NULL, entity TEXT NOT NULL, step INTEGER NOT NULL, row BLOB NOT NULL,
    PRIMARY KEY (namespace, entity, step)
) WITHOUT ROWID
"""
_UPSERT = "INSERT OR REPLACE INTO observation VALUES (?, ?, ?, ?)"
_FILL = "INSERT OR IGNORE INTO observation VALUES (?, ?, ?, ?)"
_WINDOW = "SELECT step, row FROM observation WHERE namespace = ? AND entity = ? AND step BETWEEN ? AND ?"
_NEWEST = "SELECT max(step) FROM observation WHERE namespace = ? AND entity = ?"
# One index look-up for each entity, instead of a scan of all rows.
_NEWEST_OF_ALL = """
WITH RECURSIVE one(entity) AS (
    SELECT min(entity) FROM observation WHERE namespace = ?1
    UNION ALL
    SELECT (SELECT min(entity) FROM observation WHERE namespace = ?1 AND entity > one.entity)
    FROM one WHERE one.entity IS NOT NULL
)
SELECT max((SELECT max(step) FROM observation WHERE namespace = ?1 AND entity = one.entity)) FROM one
"""


class SqliteStore:
    """Rows in an SQLite file in write-ahead mode, so that readers never wait for a writer.

    Reads take a hundred microseconds and run in the event loop; writes wait for the disk, so they run in a thread.

    Args:
        path: the file; created if missing.
        namespace: schema of the rows; rows of other schemas are not read.
        width: numbers in a row.
    """

    kind = "sqlite"
    most: int | None = None

    def __init__(self, path: Path, namespace: str, width: int) -> None:
        self._namespace = f"{LAYOUT}:{namespace}"
        self._width = width
        # One thread, since two must not use the writer's connection at once.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="almanac-sqlite")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Two connections: on one, a reader would wait for the writer's commit.
            self._reader = _connect(path)
            self._writer = _connect(path)
            self._writer.execute(_SCHEMA)
            self._writer.commit()
        except sqlite3.Error as error:
            raise StoreUnavailableError(f"{path}: {error}") from error

    async def append(self, entity: str, steps: list[int], rows: Array) -> int:
        """Store rows; see Store."""
        return await self._write(_UPSERT, entity, steps, rows)

    async def fill(self, entity: str, steps: list[int], rows: Array) -> int:
        """Store missing rows; see Store."""
        return await self._write(_FILL, entity, steps, rows)

    async def _write(self, statement: str, entity: str, steps: list[int], rows: Array) -> int:
        size, packed = row_size(self._width), pack_rows(rows)
        items = [(self._namespace, entity, step, packed[at * size : (at + 1) * size]) for at, step in enumerate(steps)]
        await asyncio.get_running_loop().run_in_executor(self._thread, self._run, statement, items)
        return 0

    def _run(self, statement: str, items: list[tuple[str, str, int, bytes]]) -> None:
        try:
            with self._writer:
                self._writer.executemany(statement, items)
        except sqlite3.Error as error:
            raise StoreUnavailableError(str(error)) from error

    async def window(self, entity: str, end: int, count: int) -> Array:
        """Return rows; see Store."""
        first = end - count + 1
        try:
            stored = dict(self._reader.execute(_WINDOW, (self._namespace, entity, first, end)).fetchall())
        except sqlite3.Error as error:
            raise StoreUnavailableError(str(error)) from error
        absent = bytes(row_size(self._width))
        return unpack_rows(b"".join(stored.get(step, absent) for step in range(first, end + 1)), count, self._width)

    async def windows(self, keys: Sequence[tuple[str, int, int]]) -> list[Array]:
        """Return rows of several windows; other requests are answered in between. See Store."""
        windows = []
        for key in keys:
            windows.append(await self.window(*key))
            await asyncio.sleep(0)
        return windows

    async def newest(self, entity: str | None) -> int | None:
        """Return the newest step; see Store."""
        statement, parameters = (_NEWEST_OF_ALL, ()) if entity is None else (_NEWEST, (entity,))
        try:
            row = self._reader.execute(statement, (self._namespace, *parameters)).fetchone()
        except sqlite3.Error as error:
            raise StoreUnavailableError(str(error)) from error
        return None if row[0] is None else int(row[0])

    async def close(self) -> None:
        """Close the file."""
        self._thread.shutdown()
        self._reader.close()
        self._writer.close()


def _connect(path: Path) -> sqlite3.Connection:
    # The warm-up opens the store in a thread; the event loop and the writer's thread then use it.
    connection = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    # A crash of the machine may lose the last rows, but cannot damage the file.
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection
