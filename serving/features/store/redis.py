"""The feature store in Redis, which many replicas share.

Rows are MessagePack of a fixed size, 256 steps of an entity in one string, under keys with the layout's version, the
rows' schema and the entity. A window is one call: a script on the server concatenates its parts, since one long reply
is cheaper for the client than several.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import numpy.typing as npt

from almanac.core.errors import ServingError
from serving.features.store.base import StoreUnavailableError
from serving.features.store.rows import LAYOUT, pack_rows, row_size, unpack_rows
from serving.runtime.coroutine_start import ensure_task

Array = npt.NDArray[np.float64]

_BLOCK = 256
_TIMEOUT = 0.25
_CONNECTIONS = 64
#: Seconds that a command waits for a connection before the store counts as unavailable.
_WAIT = 1.0
_TTL = 90 * 86400
# A block ends with its last row, so the script fills up with zero bytes, which are missing rows.
_WINDOW = """
local parts = {}
for i, key in ipairs(KEYS) do
  local first, size = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local part = redis.call('GETRANGE', key, first, first + size - 1)
  parts[i] = part .. string.rep('\\0', size - #part)
end
return table.concat(parts)
"""
# Redis fills the gap before a later row with zero bytes, with which no stored row begins.
_FILL = """
for i = 2, #ARGV, 2 do
  local first = tonumber(ARGV[i])
  local mark = redis.call('GETRANGE', KEYS[1], first, first)
  if mark == '' or mark == '\\0' then redis.call('SETRANGE', KEYS[1], first, ARGV[i + 1]) end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""


class RedisStore:
    """Rows in Redis.

    Args:
        url: `redis://host:port/db`, `rediss://…`; `?ttl=<seconds>` is the time after its last write that a block is
            kept, 90 days by default.
        namespace: schema of the rows; rows of other schemas are not read.
        width: numbers in a row.

    Raises:
        ServingError: a `ttl` that is not a number of seconds.
    """

    kind = "redis"
    most: int | None = None

    def __init__(self, url: str, namespace: str, width: int) -> None:
        self._client, self._ttl = connect(url)
        self._window = self._client.register_script(_WINDOW)
        self._prefix = f"almanac:{LAYOUT}:{namespace}:"
        self._width = width

    async def append(self, entity: str, steps: list[int], rows: Array) -> int:
        """Store rows in one pipeline; see Store."""
        # No transaction: rows are independent, and a repeated append changes nothing.
        pipeline = self._client.pipeline(transaction=False)
        for block, parts in self._parts(entity, steps, rows).items():
            for first, row in parts:
                pipeline.setrange(block, first, row)
            pipeline.expire(block, self._ttl)
        return await self._write(pipeline, entity, steps)

    async def fill(self, entity: str, steps: list[int], rows: Array) -> int:
        """Store missing rows, by a script so that no other client writes in between; see Store."""
        pipeline = self._client.pipeline(transaction=False)
        for block, parts in self._parts(entity, steps, rows).items():
            pipeline.eval(_FILL, 1, block, self._ttl, *(item for part in parts for item in part))
        return await self._write(pipeline, entity, steps)

    async def _write(self, pipeline: Any, entity: str, steps: list[int]) -> int:
        # `gt`: rows that arrive late must not lower the newest step.
        pipeline.zadd(f"{self._prefix}newest", {entity: max(steps)}, gt=True)
        await _guarded(pipeline.execute())
        return 0

    def _parts(self, entity: str, steps: list[int], rows: Array) -> dict[str, list[tuple[int, bytes]]]:
        """Return the rows of each block, with the position of their first byte."""
        size, packed = row_size(self._width), pack_rows(rows)
        blocks: dict[str, list[tuple[int, bytes]]] = {}
        for at, step in enumerate(steps):
            row = packed[at * size : (at + 1) * size]
            blocks.setdefault(self._block(entity, step // _BLOCK), []).append((step % _BLOCK * size, row))
        return blocks

    async def window(self, entity: str, end: int, count: int) -> Array:
        """Return rows; see Store."""
        keys, spans = self._spans(entity, end, count)
        return self._rows(entity, await _guarded(self._window(keys=keys, args=spans)), count)

    async def windows(self, keys: Sequence[tuple[str, int, int]]) -> list[Array]:
        """Return rows of several windows in one pipeline; see Store."""
        if len(keys) == 1:
            return [await self.window(*keys[0])]
        calls = [self._spans(*key) for key in keys]
        parts = await _guarded(self._scripts(calls))
        return [self._rows(entity, data, count) for (entity, _, count), data in zip(keys, parts, strict=True)]

    async def _scripts(self, calls: list[tuple[list[str], list[int]]]) -> list[Any]:
        from redis.exceptions import NoScriptError

        for known in (True, False):
            pipeline = self._client.pipeline(transaction=False)
            if not known:
                pipeline.script_load(_WINDOW)
            for keys, spans in calls:
                pipeline.evalsha(self._window.sha, len(keys), *keys, *spans)
            try:
                replies: list[Any] = await pipeline.execute()
            except NoScriptError:
                continue  # the server was restarted
            return replies[0 if known else 1 :]
        raise StoreUnavailableError("Redis: it does not keep its scripts")

    def _spans(self, entity: str, end: int, count: int) -> tuple[list[str], list[int]]:
        """Return the keys of a window's blocks, and the first byte and length of its part of each."""
        first, size = end - count + 1, row_size(self._width)
        keys, spans = [], []
        for block in range(first // _BLOCK, end // _BLOCK + 1):
            begin, last = max(first, block * _BLOCK), min(end, block * _BLOCK + _BLOCK - 1)
            keys.append(self._block(entity, block))
            spans += [begin % _BLOCK * size, (last - begin + 1) * size]
        return keys, spans

    def _rows(self, entity: str, data: Any, count: int) -> Array:
        try:
            return unpack_rows(data, count, self._width)
        except (ValueError, TypeError) as error:
            raise StoreUnavailableError(f"rows of {entity} cannot be read: {error}") from error

    async def newest(self, entity: str | None) -> int | None:
        """Return the newest step; see Store."""
        if entity is None:
            last = await _guarded(self._client.zrange(f"{self._prefix}newest", 0, 0, desc=True, withscores=True))
            return int(last[0][1]) if last else None
        score = await _guarded(self._client.zscore(f"{self._prefix}newest", entity))
        return None if score is None else int(score)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _block(self, entity: str, block: int) -> str:
        # The braces keep all blocks of an entity on one node of a cluster, which a script requires.
        return f"{self._prefix}{{{entity}}}:{block}"


def connect(url: str) -> tuple[Any, int]:
    """Return a client with short time-outs, and the time to live from the URL."""
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    parts = urlsplit(url)
    text = parse_qs(parts.query).get("ttl", [str(_TTL)])[0]
    if not text.isdigit() or int(text) < 1:
        raise ServingError(f"{url}: ttl is {text!r}; expected a number of seconds")
    pool = BlockingConnectionPool.from_url(
        parts._replace(query="").geturl(),
        socket_timeout=_TIMEOUT,
        socket_connect_timeout=_TIMEOUT,
        retry=Retry(NoBackoff(), 1),
        max_connections=_CONNECTIONS,
        timeout=_WAIT,
    )
    return Redis.from_pool(pool), int(text)


async def _guarded(call: Any) -> Any:
    from redis.exceptions import RedisError

    # The client's time-outs need a task, and the fast path has none.
    await ensure_task()
    try:
        return await call
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreUnavailableError(f"Redis: {error or type(error).__name__}") from error
