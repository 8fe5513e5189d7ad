"""The feature store in Redis, which many replicas share.

Rows are MessagePack of a fixed size, 256 steps of an entity in one string, under keys with the layout's version, the
rows' schema and the entity. A block expires some time after its last write. Beside its blocks an entity has a hash
with its newest step and the step from which on its rows are kept, and a set of the blocks that were ever written, so
that an expired block differs from one that was never given. A window is one call: a script on the server concatenates
its parts, since one long reply is cheaper for the client than several.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from almanac.core.arrays import Array
from almanac.core.errors import ServingError
from serving.features.store.base import Batch, RowsDroppedError, StoreUnavailableError, check_entities
from serving.features.store.rows import LAYOUT, pack_rows, row_size, unpack_rows
from serving.runtime.circuit_breaker import CircuitBreaker
from serving.runtime.coroutine_start import ensure_task
from serving.runtime.redaction import redacted
from serving.runtime.redis_client import connect, no_answer, take_option

_BLOCK = 256
_TIMEOUT = 0.25
_TTL = 90 * 86400
# A block ends with its last row, so the script fills up with zero bytes, which are missing rows.
# An integer in place of the rows is the step from which on they are kept.
_WINDOW = """
local kept = tonumber(redis.call('HGET', KEYS[1], 'kept_from') or 0)
if tonumber(ARGV[1]) < kept then return kept end
local parts = {}
for i = 3, #KEYS do
  local number, first, size = ARGV[3 * i - 7], tonumber(ARGV[3 * i - 6]), tonumber(ARGV[3 * i - 5])
  local part = redis.call('GETRANGE', KEYS[i], first, first + size - 1)
  if part == '' and redis.call('SISMEMBER', KEYS[2], number) == 1 and redis.call('EXISTS', KEYS[i]) == 0 then
    kept = math.max(kept, (tonumber(number) + 1) * 256)
    redis.call('HSET', KEYS[1], 'kept_from', kept)
    redis.call('SREM', KEYS[2], number)
    return kept
  end
  parts[i - 2] = part .. string.rep('\\0', size - #part)
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
# After the rows: the newest step, the written blocks, and whether the row is there whose absence was noted.
_NOTE = """
local newest = tonumber(redis.call('HGET', KEYS[1], 'newest') or -1)
if tonumber(ARGV[2]) > newest then redis.call('HSET', KEYS[1], 'newest', ARGV[2]) end
local kept = tonumber(redis.call('HGET', KEYS[1], 'kept_from') or 0)
for i = 4, #ARGV do
  redis.call('SADD', KEYS[2], ARGV[i])
  if kept > 0 and math.floor((kept - 1) / 256) == tonumber(ARGV[i]) then
    local first = (kept - 1) % 256 * tonumber(ARGV[3])
    local mark = redis.call('GETRANGE', KEYS[i - 1], first, first)
    if mark ~= '' and mark ~= '\\0' then redis.call('HDEL', KEYS[1], 'kept_from') end
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
"""
_FORGET = """
local kept = tonumber(redis.call('HGET', KEYS[1], 'kept_from') or 0)
if tonumber(ARGV[2]) > kept then redis.call('HSET', KEYS[1], 'kept_from', ARGV[2]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""


class RedisStore:
    """Rows in Redis.

    Args:
        url: `redis://host:port/db`, `rediss://…`; `?ttl=<seconds>` is the time after its last write that a block is
            kept, 90 days by default.
        namespace: schema of the rows; rows of other schemas are not read.
        width: numbers in a row.
        most_entities: most entities.
        report: called with whether Redis answers, at once and at each change.

    Raises:
        ServingError: an option of the address that cannot be used.
    """

    kind = "redis"
    most: int | None = None

    def __init__(
        self,
        url: str,
        namespace: str,
        width: int,
        most_entities: int = 10_000,
        report: Callable[[bool], object] = lambda available: None,
    ) -> None:
        address, ttl = take_option(url, "ttl")
        if ttl is not None and (not ttl.isdigit() or int(ttl) < 1):
            raise ServingError(f"--feature-store {redacted(url)}: ttl is {ttl!r}; expected a number of seconds")
        self._ttl = _TTL if ttl is None else int(ttl)
        self._client = connect(address, "--feature-store", _TIMEOUT)
        self._window = self._client.register_script(_WINDOW)
        self._prefix = f"almanac:{LAYOUT}:{namespace}:"
        self._width = width
        self._most_entities = most_entities
        self._breaker = CircuitBreaker(
            "Redis (feature store)", self._client.ping, report, "requests by entity are answered with 503 meanwhile"
        )

    async def append(self, batch: Batch) -> int:
        """Store rows in one transaction; see Store."""
        return await self._write(batch, self._append)

    async def fill(self, batch: Batch) -> int:
        """Store missing rows, by a script so that no other client writes in between; see Store."""
        return await self._write(batch, self._fill)

    async def _write(self, batch: Batch, put: Callable[[Any, str, list[tuple[int, bytes]]], None]) -> int:
        await self._check(list(batch))
        # A transaction is executed whole or, where Redis is full or goes away, not at all.
        pipeline = self._client.pipeline(transaction=True)
        for entity, (steps, rows) in batch.items():
            numbers = self._parts(steps, rows)
            for number, parts in numbers.items():
                put(pipeline, self._block(entity, number), parts)
            keys = [*self._keys(entity), *(self._block(entity, number) for number in numbers)]
            pipeline.eval(_NOTE, len(keys), *keys, self._ttl, max(steps), row_size(self._width), *numbers)
            # `gt`: rows that arrive late must not lower the newest step.
            pipeline.zadd(f"{self._prefix}newest", {entity: max(steps)}, gt=True)
        pipeline.expire(f"{self._prefix}newest", self._ttl)
        await self._guarded(pipeline.execute)
        return 0

    async def _check(self, entities: list[str]) -> None:
        """Check the number of entities; two processes that write at once may each add theirs."""
        index = f"{self._prefix}newest"
        pipeline = self._client.pipeline(transaction=False)
        known, scores = await self._guarded(pipeline.zcard(index).zmscore(index, entities).execute)
        check_entities(known, sum(score is None for score in scores), self._most_entities)

    def _append(self, pipeline: Any, block: str, parts: list[tuple[int, bytes]]) -> None:
        for first, row in parts:
            pipeline.setrange(block, first, row)
        pipeline.expire(block, self._ttl)

    def _fill(self, pipeline: Any, block: str, parts: list[tuple[int, bytes]]) -> None:
        pipeline.eval(_FILL, 1, block, self._ttl, *(item for part in parts for item in part))

    def _parts(self, steps: list[int], rows: Array) -> dict[int, list[tuple[int, bytes]]]:
        """Return the rows of each block, with the position of their first byte."""
        size, packed = row_size(self._width), pack_rows(rows)
        blocks: dict[int, list[tuple[int, bytes]]] = {}
        for at, step in enumerate(steps):
            row = packed[at * size : (at + 1) * size]
            blocks.setdefault(step // _BLOCK, []).append((step % _BLOCK * size, row))
        return blocks

    async def window(self, entity: str, end: int, count: int) -> Array:
        """Return rows; see Store."""
        keys, spans = self._spans(entity, end, count)
        return self._rows(entity, await self._guarded(lambda: self._window(keys=keys, args=spans)), count)

    async def windows(self, keys: Sequence[tuple[str, int, int]]) -> list[Array]:
        """Return rows of several windows in one pipeline; see Store."""
        if len(keys) == 1:
            return [await self.window(*keys[0])]
        calls = [self._spans(*key) for key in keys]
        parts = await self._guarded(lambda: self._scripts(calls))
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
        """Return the keys of a window, and its first step with number, first byte and length of its part of each."""
        first, size = end - count + 1, row_size(self._width)
        keys, spans = self._keys(entity), [max(0, first)]
        for block in range(first // _BLOCK, end // _BLOCK + 1):
            begin, last = max(first, block * _BLOCK), min(end, block * _BLOCK + _BLOCK - 1)
            keys.append(self._block(entity, block))
            spans += [block, begin % _BLOCK * size, (last - begin + 1) * size]
        return keys, spans

    def _rows(self, entity: str, data: Any, count: int) -> Array:
        if isinstance(data, int):
            raise RowsDroppedError(entity, data)
        try:
            return unpack_rows(data, count, self._width)
        except (ValueError, TypeError) as error:
            raise StoreUnavailableError(f"rows of {entity} cannot be read: {error}") from error

    async def newest(self, entity: str | None) -> int | None:
        """Return the newest step; see Store."""
        if entity is None:
            return await self._newest_of_all()
        newest = await self._guarded(lambda: self._client.hget(self._keys(entity)[0], "newest"))
        return None if newest is None else int(newest)

    async def _newest_of_all(self) -> int | None:
        """Return the newest step of the entities that have not expired."""
        index = f"{self._prefix}newest"
        while found := await self._guarded(lambda: self._client.zrange(index, 0, 0, desc=True, withscores=True)):
            name, step = found[0][0].decode(), int(found[0][1])
            if await self._guarded(
                partial(self._client.exists, self._keys(name)[0], self._block(name, step // _BLOCK))
            ):
                return step
            await self._guarded(partial(self._client.zrem, index, name))
        return None

    async def forget(self, entity: str, before: int) -> None:
        """Note rows that the store does not get; see Store."""
        await self._guarded(lambda: self._client.eval(_FORGET, 1, self._keys(entity)[0], self._ttl, before))

    async def close(self) -> None:
        """Close the connections."""
        self._breaker.close()
        await self._client.aclose()

    def _keys(self, entity: str) -> list[str]:
        # The braces keep all keys of an entity on one node of a cluster, which a script requires.
        return [f"{self._prefix}{{{entity}}}", f"{self._prefix}{{{entity}}}:blocks"]

    def _block(self, entity: str, block: int) -> str:
        return f"{self._prefix}{{{entity}}}:{block}"

    async def _guarded(self, call: Callable[[], Awaitable[Any]]) -> Any:
        from redis.exceptions import ResponseError

        if self._breaker.open:
            raise StoreUnavailableError("Redis: it did not answer a moment ago")
        # The client's time-outs need a task, and the fast path has none.
        await ensure_task()
        try:
            return await call()
        except ResponseError as error:  # an answer, though a refusal: out of memory, or a key of another type
            raise StoreUnavailableError(f"Redis: {error}") from error
        except no_answer() as error:
            self._breaker.trip(error)
            raise StoreUnavailableError(f"Redis: {error or type(error).__name__}") from error
