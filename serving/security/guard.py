"""The one gate that REST, gRPC and repository requests pass: key, scope, rate."""

import time
from http import HTTPStatus
from typing import Literal, NamedTuple

from monitoring.metrics import RATE_LIMITED, UNAUTHENTICATED, Metrics
from serving.refusal import Refusal
from serving.security.keys import Key, KeyRing
from serving.security.limits import Limiter, MemoryLimiter, Rate, Verdict, parse_rate

Mode = Literal["required", "optional", "off"]
"""required: no key, no answer; optional: a wrong key is refused, none is not; off: keys are not looked at."""

_CHALLENGE = {"www-authenticate": 'Bearer realm="almanac"'}


class Admission(NamedTuple):
    """Who was let in, and the rate limit headers to answer with."""

    who: str
    headers: list[tuple[bytes, bytes]]


class Guard:
    """Admits requests or raises a Refusal."""

    def __init__(
        self, mode: Mode, ring: KeyRing, rate: Rate | None, limiter: Limiter, metrics: Metrics, workers: int = 1
    ) -> None:
        self.mode = mode
        self.ring = ring
        self._limiter = limiter
        self._metrics = metrics
        self._workers = workers if isinstance(limiter, MemoryLimiter) else 1
        self._rate = rate.shared_by(self._workers) if rate else None
        self._rates: dict[str, Rate] = {}

    async def admit(self, text: str | None, scope: str, client: str) -> Admission:
        """Let a request in.

        Args:
            text: the key as sent, without `Bearer`; None when none was sent.
            scope: what is asked for.
            client: address of the client, which stands for it when it has no key.

        Raises:
            Refusal: 401 for a missing or wrong key, 403 for a scope that it lacks, 429 above the rate.
        """
        key = self._identify(text)
        if key is not None and not key.allows(scope):
            self._metrics.counter(UNAUTHENTICATED).labels("scope").inc()
            raise Refusal(HTTPStatus.FORBIDDEN, f"key {key.id} lacks the scope {scope}")
        if key is None and scope == "admin" and self.mode == "optional":
            self._metrics.counter(UNAUTHENTICATED).labels("scope").inc()
            raise Refusal(HTTPStatus.UNAUTHORIZED, "this needs a key with the scope admin", _CHALLENGE)
        who = key.id if key else client
        rate = self._rate_of(key)
        if rate is None:
            return Admission(who, [])
        limiter = self._limiter
        if isinstance(limiter, MemoryLimiter):
            verdict = limiter.take_now(who, rate)
        else:
            verdict = await limiter.take(who, rate)
        if not verdict.allowed:
            raise self._too_many(who, rate, verdict)
        return Admission(who, verdict.headers())

    def _too_many(self, who: str, rate: Rate, verdict: Verdict) -> Refusal:
        self._metrics.counter(RATE_LIMITED).labels(who if who in self.ring.keys else "anonymous").inc()
        headers = {name.decode(): value.decode() for name, value in verdict.headers()}
        message = f"rate limit of {verdict.limit} requests in {rate.seconds:g} s reached"
        return Refusal(HTTPStatus.TOO_MANY_REQUESTS, message, headers)

    def _identify(self, text: str | None) -> Key | None:
        if self.mode == "off":
            return None
        if text is None:
            if self.mode == "required":
                self._metrics.counter(UNAUTHENTICATED).labels("missing").inc()
                raise Refusal(
                    HTTPStatus.UNAUTHORIZED,
                    "no API key; send it as `Authorization: Bearer <key>` or `X-API-Key: <key>`",
                    _CHALLENGE,
                )
            return None
        key = self.ring.find(text, time.time())
        if key is None:
            self._metrics.counter(UNAUTHENTICATED).labels("invalid").inc()
            raise Refusal(HTTPStatus.UNAUTHORIZED, "the API key is unknown, expired or revoked", _CHALLENGE)
        return key

    def _rate_of(self, key: Key | None) -> Rate | None:
        if key is None or key.rate is None:
            return self._rate
        rate = self._rates.get(key.rate)
        if rate is None:
            rate = self._rates[key.rate] = parse_rate(key.rate).shared_by(self._workers)
        return rate
