"""What a head was found to be allowed holds for the next one, and ends with its key, its route or its rate."""

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from monitoring.metrics import Metrics
from serving.protocol.router import Route, Router
from serving.runtime.errors import RefusedError
from serving.runtime.http import Reply, Request
from serving.security.guard import PUBLIC, Guard, Mode
from serving.security.keys import KeyRing
from serving.security.limits import MemoryLimiter, Rate, RedisLimiter, lines_of
from serving.transport.clearance import clear
from serving.transport.web_guard import WebGuard

PATH = "/v1/models/m:predict"


async def answer(request: Request) -> Reply:
    return Reply(b"")


def made_guard(ring: KeyRing, mode: Mode = "required", rates: dict[str, Rate] | None = None) -> Guard:
    return Guard(mode, ring, rates or {}, MemoryLimiter(), Metrics(CollectorRegistry()))


def router() -> Router:
    verbs = (("predict", "predict"), ("ingest", "ingest"), ("unload", "admin"), ("canary", "admin"))
    made = Router([Route("POST", f"/v1/models/{{model}}:{v}", answer, v, scope, "v1") for v, scope in verbs])
    made.remember({"m": "air"})
    return made


def test_a_grant_ends_with_its_key() -> None:
    ring = KeyRing()
    key, text = ring.create("a", ("predict",))
    guard = made_guard(ring)
    grant = guard.grant(text, "predict", "air")
    assert grant is not None
    assert guard.admit_by(grant, "client") == (key.id, b"")
    guard.ring = KeyRing({key.id: replace(key, revoked=1.0)})
    assert guard.admit_by(grant, "client") is None
    assert guard.grant(text, "predict", "air") is None
    guard.ring = KeyRing()
    assert guard.admit_by(grant, "client") is None


def test_two_secrets_are_told_apart_each_time() -> None:
    ring = KeyRing()
    key, first = ring.create("a", ("predict",))
    guard = made_guard(ring)
    grant, second = guard.grant(first, "predict", ""), ring.rotate(key.id, grace=60.0)
    assert grant is not None
    assert guard.admit_by(grant, "client") is None
    assert [guard.grant(text, "predict", "") for text in (first, second)] == [None, None]
    ring.keys[key.id] = replace(ring.keys[key.id], previous_until=0.0)
    assert guard.grant(first, "predict", "") is None
    assert guard.grant(second, "predict", "") is not None


@pytest.mark.parametrize(
    ("scope", "use_case", "granted"),
    [("predict", "air", True), ("predict", "", True), ("predict", "rail", False), ("explain", "air", False)],
)
def test_a_grant_is_for_what_the_key_is_for(scope: str, use_case: str, granted: bool) -> None:
    ring = KeyRing()
    text = ring.create("a", ("predict",), use_cases=("air",))[1]
    assert (made_guard(ring).grant(text, scope, use_case) is not None) == granted


@pytest.mark.parametrize(
    ("mode", "scope", "granted"),
    [
        ("required", "predict", False), ("optional", "predict", True), ("optional", "admin", False),
        ("off", "admin", True), ("required", PUBLIC, True),
    ],
)  # fmt: skip
def test_a_request_without_a_key(mode: Mode, scope: str, granted: bool) -> None:
    guard = made_guard(KeyRing(), mode)
    grant = guard.grant(None, scope, "")
    assert (grant is not None) == granted
    assert grant is None or guard.admit_by(grant, "client") == ("client", b"")


def test_each_request_takes_its_token() -> None:
    ring = KeyRing()
    key, text = ring.create("a", ("predict",), rate="2/h")
    guard = made_guard(ring, rates={"": Rate(100, 1.0)})
    grant = guard.grant(text, "predict", "")
    assert grant is not None
    told = [guard.admit_by(grant, "client") for _ in range(2)]
    lines = "x-ratelimit-limit: 2\r\nx-ratelimit-remaining: {}\r\nx-ratelimit-reset: {}\r\n"
    assert told == [(key.id, lines.format(*left).encode()) for left in ((1, 1800), (0, 3600))]
    with pytest.raises(RefusedError, match="rate limit of 2 requests") as refused:
        guard.admit_by(grant, "client")
    assert refused.value.who == key.id


def test_the_lines_of_a_rate_are_its_headers() -> None:
    rate, limiter, other = Rate(7, 3.0), MemoryLimiter(), MemoryLimiter()
    for _ in range(7):
        left, verdict = limiter.draw("a", rate), other.take_now("a", rate)
        assert lines_of(rate, left) == b"".join(b"%b: %b\r\n" % header for header in verdict.headers())
    assert limiter.draw("a", rate) < 0.0
    assert not other.take_now("a", rate).allowed


def test_limits_that_others_share_are_asked_for_each_time() -> None:
    metrics = Metrics(CollectorRegistry())
    shared = Guard("off", KeyRing(), {}, RedisLimiter("redis://127.0.0.1:1/0"), metrics)
    own = made_guard(KeyRing(), "off", {"air": Rate(1, 1.0)})
    assert [guard.grant(None, "predict", "air") for guard in (shared, own)] == [None, None]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/models/m:unknown", {}),
        ("/v1/models/m:ingest", {b"content-type": b"application/json"}),
        ("/v1/models/m:unload", {b"content-type": b"application/json"}),
        ("/v1/models/m:canary", {}),  # it changes something, and its body has no type
        ("/v1/models/m:canary", {b"content-type": b"application/json"}),
        (PATH, {b"content-type": b"text/plain"}),
        (PATH, {b"content-encoding": b"gzip"}),
        (PATH, {b"origin": b"http://elsewhere"}),
    ],
)
def test_only_what_is_allowed_is_kept(path: str, headers: dict[bytes, bytes]) -> None:
    request = Request("POST", path, headers, "client")
    assert clear(request, router(), made_guard(KeyRing(), "off"), WebGuard()) is None


def test_a_clearance_is_of_one_generation_of_routes() -> None:
    made, guard = router(), made_guard(KeyRing(), "off")
    clearance = clear(Request("POST", PATH, {}, "client"), made, guard, WebGuard())
    assert clearance is not None
    assert (clearance.match.model, clearance.match.use_case) == ("m", "air")
    made.remember({"m": "rail"})
    assert clearance.generation != made.generation
