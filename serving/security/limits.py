"""Token-bucket rate limits, in memory or in Redis."""

import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from almanac.core.errors import ServingError
from serving.runtime.circuit_breaker import CircuitBreaker
from serving.runtime.coroutine_start import ensure_task
from serving.runtime.redis_client import connect, no_answer

_RATE = re.compile(r"(\d+(?:\.\d+)?)/(s|m|h)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_MOST_BUCKETS = 65536
#: Seconds that a request may wait for a bucket in Redis, which takes a fraction of a millisecond.
_TIMEOUT = 0.1


@dataclass(frozen=True)
class Rate:
    """A number of requests in a number of seconds; the bucket holds `limit` tokens."""

    limit: float
    seconds: float

    @property
    def per_second(self) -> float:
        """Tokens that the bucket gains in a second."""
        return self.limit / self.seconds

    def shared_by(self, workers: int) -> "Rate":
        """Return the rate for one of several processes with separate buckets."""
        if workers == 1:
            return self
        # A bucket that cannot hold a whole token would never admit anybody; it fills the more slowly.
        share = max(1.0, self.limit / workers)
        return Rate(share, share * workers * self.seconds / self.limit)


def parse_rate(text: str) -> Rate:
    """Parse `100/s`, `600/m` or `10000/h`.

    Raises:
        ServingError: any other text.
    """
    match = _RATE.fullmatch(text)
    if match is None or float(match[1]) < 1:
        raise ServingError(f"rate {text!r}: write it as 100/s, 600/m or 10000/h, at least 1")
    return Rate(float(match[1]), _SECONDS[match[2]])


def parse_rates(text: str) -> dict[str, Rate]:
    """Parse `1000/s,air=50/s`: the rate of the server under "", those of single use cases under their names.

    Raises:
        ServingError: any other text.
    """
    rates: dict[str, Rate] = {}
    for part in text.split(","):
        use_case, _, rate = part.rpartition("=")
        if use_case in rates:
            raise ServingError(f"rate {text!r}: {use_case or 'the rate of the server'} is given twice")
        rates[use_case] = parse_rate(rate)
    return rates


class Verdict(NamedTuple):
    """The decision of a limiter: whether a token was taken, the tokens left, and the seconds until the next one."""

    allowed: bool
    limit: int
    remaining: int
    wait: float

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the `X-RateLimit-*` headers, and `Retry-After` if no token was left; reset is in seconds."""
        reset = b"%d" % math.ceil(self.wait)
        lines = [
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", reset),
        ]
        return lines if self.allowed else [*lines, (b"retry-after", b"%d" % max(1, math.ceil(self.wait)))]


def verdict_of(rate: Rate, left: float) -> Verdict:
    """Return the verdict of a bucket with `left` tokens after a request, fewer than 0 where it lacked them."""
    flow = rate.limit / rate.seconds
    if left < 0.0:
        return Verdict(False, int(rate.limit), 0, -left / flow)
    return Verdict(True, int(rate.limit), int(left), (rate.limit - left) / flow)


def lines_of(rate: Rate, left: float) -> bytes:
    """Return the `X-RateLimit-*` headers of an admitted request as the lines of its answer, for the hot path."""
    limit = rate.limit
    reset = math.ceil((limit - left) / (limit / rate.seconds))
    return b"x-ratelimit-limit: %d\r\nx-ratelimit-remaining: %d\r\nx-ratelimit-reset: %d\r\n" % (limit, left, reset)


class Limiter(Protocol):
    """Rate limits by token buckets, one for each client."""

    async def take(self, who: str, rate: Rate) -> Verdict:
        """Take a token."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class MemoryLimiter:
    """Buckets of this process; the least recently used is evicted first."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, list[float]] = OrderedDict()

    def take_now(self, who: str, rate: Rate) -> Verdict:
        """Take a token synchronously."""
        return verdict_of(rate, self.draw(who, rate))

    def draw(self, who: str, rate: Rate) -> float:
        """Take a token and return the tokens left; a negative number is the share of a token that is missing."""
        now = time.monotonic()
        bucket = self._buckets.get(who)
        if bucket is None:
            bucket = self._open(who, rate, now)
        else:
            self._buckets.move_to_end(who)
        limit = rate.limit
        tokens = bucket[0] + (now - bucket[1]) * (limit / rate.seconds)
        if tokens > limit:
            tokens = limit
        bucket[1] = now
        left = tokens - 1.0
        bucket[0] = tokens if left < 0.0 else left
        return left

    async def take(self, who: str, rate: Rate) -> Verdict:
        """Take a token."""
        return self.take_now(who, rate)

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _open(self, who: str, rate: Rate, now: float) -> list[float]:
        # Clients choose their addresses, so the number of buckets must be bounded.
        if len(self._buckets) >= _MOST_BUCKETS:
            self._buckets.popitem(last=False)
        bucket = self._buckets[who] = [rate.limit, now]
        return bucket


# A bucket expires a second after it must be full again, and a new one is full.
_TAKE = """
local now = redis.call('TIME')
local t = tonumber(now[1]) + tonumber(now[2]) / 1e6
local limit, flow = tonumber(ARGV[1]), tonumber(ARGV[2])
local b = redis.call('HMGET', KEYS[1], 'n', 't')
local n = math.min(limit, (tonumber(b[1]) or limit) + (t - (tonumber(b[2]) or t)) * flow)
local ok = 0
if n >= 1 then n = n - 1; ok = 1 end
redis.call('HSET', KEYS[1], 'n', tostring(n), 't', tostring(t))
redis.call('PEXPIRE', KEYS[1], math.ceil(1000 * limit / flow) + 1000)
return {ok, tostring(n)}
"""


class RedisLimiter:
    """Buckets that all replicas share, by the clock of Redis.

    While Redis does not answer, buckets of this process limit the requests, to this worker's share of the rate, and no
    request waits: Redis is asked again by pings in the background.

    Args:
        url: address of Redis.
        workers: processes of this machine that divide a rate without Redis.
        report: called with whether Redis answers, at once and at each change.
        prefix: prefix of the keys.

    Raises:
        ServingError: an option of the address that cannot be used.
    """

    def __init__(
        self,
        url: str,
        workers: int = 1,
        report: Callable[[bool], object] = lambda available: None,
        prefix: str = "almanac:1:limit:",
    ) -> None:
        self.client = connect(url, "--rate-limit-store", _TIMEOUT)
        self._take = self.client.register_script(_TAKE)
        self._prefix = prefix
        self._fallback = MemoryLimiter()
        self._workers = workers
        share = f"each of {workers} workers limits by its share" if workers > 1 else "this process limits by itself"
        self._breaker = CircuitBreaker("Redis (rate limits)", self.client.ping, report, f"{share} meanwhile")

    async def take(self, who: str, rate: Rate) -> Verdict:
        """Take a token."""
        if self._breaker.open:
            return self._take_here(who, rate)
        # The client's time-outs need a task, and the fast path has none.
        await ensure_task()
        try:
            allowed, left = await self._take(keys=[self._prefix + who], args=[rate.limit, rate.per_second])
        except no_answer() as error:
            self._breaker.trip(error)
            return self._take_here(who, rate)
        tokens = float(left)
        wait = (rate.limit - tokens) / rate.per_second if allowed else (1.0 - tokens) / rate.per_second
        return Verdict(bool(allowed), int(rate.limit), int(tokens), wait)

    def _take_here(self, who: str, rate: Rate) -> Verdict:
        return self._fallback.take_now(who, rate.shared_by(self._workers))

    async def close(self) -> None:
        """Close the connections."""
        self._breaker.close()
        await self.client.aclose()
