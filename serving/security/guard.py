"""The guard of REST, gRPC and repository requests: key, scope, rate."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal, NamedTuple

from monitoring.metrics import RATE_LIMITED, UNAUTHENTICATED, Metrics
from serving.runtime.errors import RefusedError
from serving.security.keys import Key, KeyRing
from serving.security.limits import Limiter, MemoryLimiter, Rate, Verdict, lines_of, parse_rate, verdict_of

#: required: every request needs a key; optional: wrong keys are refused; off: keys are ignored.
Mode = Literal["required", "optional", "off"]

#: Scope of operations that need no key; they are limited by the client's address.
PUBLIC = "public"
#: Failed authentications that an address is told of; beyond them the answer is 429.
FAILURES = Rate(60, 60.0)

_CHALLENGE = {"www-authenticate": 'Bearer realm="almanac"'}
_MISSING = "no API key; send it as `Authorization: Bearer <key>` or `X-API-Key: <key>`"
_WRONG = "the API key is unknown, expired or revoked"


class Admission(NamedTuple):
    """An admitted client.

    Attributes:
        who: id of its key, or its address.
        headers: rate limit headers of its answer.
        use_cases: use cases that its key is for; None for all.
    """

    who: str
    headers: list[tuple[bytes, bytes]]
    use_cases: tuple[str, ...] | None = None


class Grant(NamedTuple):
    """A right key, or the absence of one, for operations of one scope and use case; see `Guard.admit_by`.

    Attributes:
        key: the key, None where none is needed.
        rate: the rate of its requests.
    """

    key: Key | None
    rate: Rate | None


class Guard:
    """Admits requests or raises a RefusedError.

    Args:
        mode: whether keys are needed.
        ring: the keys.
        rates: limits of each client, for the server as a whole under "" and for single use cases under their names.
        limiter: holds the buckets.
        metrics: the metrics.
        workers: processes that share the limits.

    Attributes:
        mode: as given.
        ring: the keys, which may be replaced.
        has_use_case_rates: whether a use case has a limit of its own; `admit_to` has something to check then.
    """

    def __init__(
        self,
        mode: Mode,
        ring: KeyRing,
        rates: Mapping[str, Rate],
        limiter: Limiter,
        metrics: Metrics,
        workers: int = 1,
    ) -> None:
        self.mode = mode
        self.ring = ring
        self._limiter = limiter
        # Without an await on the hot path: a coroutine costs as much as the bucket.
        self._own_limiter = limiter if isinstance(limiter, MemoryLimiter) else None
        self._metrics = metrics
        # Workers share the buckets in Redis; those in memory, and those of failures, are each worker's own.
        self._workers = workers if isinstance(limiter, MemoryLimiter) else 1
        shared = {name: rate.shared_by(self._workers) for name, rate in rates.items()}
        self._rate = shared.pop("", None)
        self._use_case_rates = shared
        self.has_use_case_rates = bool(shared)
        self._rates: dict[str, Rate] = {}
        self._failures = MemoryLimiter()
        self._failure_rate = FAILURES.shared_by(workers)

    async def admit(self, text: str | None, scope: str, client: str) -> Admission:
        """Admit a request.

        Args:
            text: the key as sent, without `Bearer`; None when none was sent.
            scope: scope of the operation; `PUBLIC` if it needs no key.
            client: address of the client, which identifies it without a key.

        Raises:
            RefusedError: 401 for a missing or wrong key, 403 for a missing scope, 429 above the rate and for too many
                wrong keys.
        """
        key, error = (None, None) if scope == PUBLIC else self._identify(text, scope, client)
        who = key.id if key else client
        rate = self._rate_of(key)
        headers: list[tuple[bytes, bytes]] = []
        # The token is taken before the key is refused, so that wrong keys are limited too.
        if rate is not None:
            if self._own_limiter is not None:
                verdict = self._own_limiter.take_now(who, rate)
            else:
                verdict = await self._limiter.take(who, rate)
            headers = verdict.headers()
            if not verdict.allowed:
                raise self._too_many(who, key is not None, f"{verdict.limit} requests in {rate.seconds:g} s", verdict)
        if error is not None:
            error.headers.update((name.decode(), value.decode()) for name, value in headers)
            raise error
        return Admission(who, headers, key.use_cases if key else None)

    def grant(self, text: str | None, scope: str, use_case: str) -> Grant | None:
        """Return the grant of further requests with this key, None if each has to be checked by itself.

        Args:
            text: the key as sent.
            scope: scope of the operation.
            use_case: name of the use case that it asks for.
        """
        if self._own_limiter is None or self.has_use_case_rates:
            return None
        now = time.time()
        if self.mode == "off" or scope == PUBLIC or (text is None and self.mode == "optional" and scope != "admin"):
            return Grant(None, self._rate)
        key = self.ring.find(text, now) if text is not None else None
        if key is None or not key.allows(scope) or (key.use_cases is not None and use_case not in ("", *key.use_cases)):
            return None
        # Which of the two secrets was sent is not kept, and one of them ends.
        if key.previous is not None and now < key.previous_until:
            return None
        return Grant(key, self._rate_of(key))

    def admit_by(self, grant: Grant, client: str) -> tuple[str, bytes] | None:
        """Admit a request by a grant; return who it is and the lines of its rate, None if the key has changed since.

        Raises:
            RefusedError: 429 above the rate.
        """
        key, rate = grant
        who = client
        if key is not None:
            who = key.id
            # A key that is revoked, rotated or read anew is another object.
            if self.ring.keys.get(who) is not key:
                return None
        if rate is None or self._own_limiter is None:
            return who, b""
        left = self._own_limiter.draw(who, rate)
        if left < 0.0:
            verdict = verdict_of(rate, left)
            raise self._too_many(who, key is not None, f"{verdict.limit} requests in {rate.seconds:g} s", verdict)
        return who, lines_of(rate, left)

    async def admit_to(self, admission: Admission, use_case: str) -> None:
        """Admit a request to its use case, once it is known.

        Args:
            admission: what `admit` returned for the request.
            use_case: name of the use case; "" if the model has none.

        Raises:
            RefusedError: 403 for a key of other use cases, 429 above the use case's own rate.
        """
        who = admission.who
        if use_case and admission.use_cases is not None and use_case not in admission.use_cases:
            self._metrics.counter(UNAUTHENTICATED).labels("scope").inc()
            raise RefusedError(HTTPStatus.FORBIDDEN, f"key {who} is not for the use case {use_case}", who=who)
        rate = self._use_case_rates.get(use_case)
        if rate is not None:
            verdict = await self._limiter.take(f"{who} {use_case}", rate)
            if not verdict.allowed:
                limit = f"{verdict.limit} requests for {use_case} in {rate.seconds:g} s"
                raise self._too_many(who, who in self.ring.keys, limit, verdict)

    def identify(self, text: str) -> str:
        """Return the id of a right key, and "" for a wrong one or where keys are ignored; from any thread."""
        key = self.ring.find(text, time.time()) if self.mode != "off" else None
        return key.id if key else ""

    async def close(self) -> None:
        """Close the connections of the limiter."""
        await self._limiter.close()

    def _too_many(self, who: str, keyed: bool, limit: str, verdict: Verdict) -> RefusedError:
        # Neither ids of keys nor addresses are labels: metrics are public, and there can be any number of them.
        self._metrics.counter(RATE_LIMITED).labels("key" if keyed else "address").inc()
        headers = {name.decode(): value.decode() for name, value in verdict.headers()}
        return RefusedError(HTTPStatus.TOO_MANY_REQUESTS, f"rate limit of {limit} reached", headers, who)

    def _identify(self, text: str | None, scope: str, client: str) -> tuple[Key | None, RefusedError | None]:
        """Return the key, and the error for a refused request, which takes a token of the rate limit as well."""
        if self.mode == "off":
            return None, None
        if text is None:
            if self.mode == "required":
                return None, self._unauthenticated("missing", _MISSING)
            # `optional` is for readers; the repository always needs a key.
            if scope == "admin":
                return None, self._unauthenticated("scope", "this needs a key with the scope admin")
            return None, None
        # A right key is never slowed down by wrong ones, whoever sends them: its secret has 256 random bits, and behind
        # a proxy all clients share one address.
        key = self.ring.find(text, time.time())
        if key is None:
            return None, self._refuse_wrong(client)
        if not key.allows(scope):
            self._metrics.counter(UNAUTHENTICATED).labels("scope").inc()
            return key, RefusedError(HTTPStatus.FORBIDDEN, f"key {key.id} lacks the scope {scope}", who=key.id)
        return key, None

    def _unauthenticated(self, reason: str, message: str) -> RefusedError:
        self._metrics.counter(UNAUTHENTICATED).labels(reason).inc()
        return RefusedError(HTTPStatus.UNAUTHORIZED, message, dict(_CHALLENGE))

    def _refuse_wrong(self, client: str) -> RefusedError:
        """Return the error for a wrong key: 429 for an address that has sent many."""
        verdict = self._failures.take_now(client, self._failure_rate)
        error = self._unauthenticated("invalid", _WRONG)
        if verdict.allowed:
            return error
        limit = f"{verdict.limit} failed authentications in {self._failure_rate.seconds:g} s"
        return self._too_many(client, False, limit, verdict)

    def _rate_of(self, key: Key | None) -> Rate | None:
        if key is None or key.rate is None:
            return self._rate
        # Parsed once for each text: keys share a few rates.
        rate = self._rates.get(key.rate)
        if rate is None:
            rate = self._rates[key.rate] = parse_rate(key.rate).shared_by(self._workers)
        return rate
