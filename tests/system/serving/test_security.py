"""Keys, limits, headers, sizes and the audit log over real sockets."""

import asyncio
import hashlib
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from almanac.core.errors import ServingError
from serving.security.keys import KeyRing, load_keys, save_keys
from serving.security.limits import MemoryLimiter, Rate, RedisLimiter, parse_rate
from serving.settings import Settings
from tests.support.server import ROOT, Reply, ServerProcess, Start, as_row, free_port, wait_for
from tests.system.serving.test_operation import total
from tests.system.serving.test_store import Redis, needs_redis

PREDICT = "/v1/models/pm25_1h:predict"


def keys(path: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "serving", "keys", "--keys", str(path), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def create(path: Path, scopes: str, *more: str) -> str:
    return keys(path, "create", "--name", "test", "--scopes", scopes, *more).split()[0]


def test_a_key_has_scopes_and_a_life(start: Start, tmp_path: Path, feature_rows: np.ndarray) -> None:
    path = tmp_path / "keys.json"
    key = create(path, "predict")
    server = start("--auth", "required", "--keys", str(path))
    body = {"instances": [as_row(feature_rows[0])]}

    def status(text: str, verb: str = "predict") -> int:
        return server.post(f"/v1/models/pm25_1h:{verb}", body, {"authorization": f"Bearer {text}"}).status

    assert server.post(PREDICT, body).status == 401
    assert server.post(PREDICT, body, {"x-api-key": key}).status == 200
    assert (status(key), status(key, "explain"), status(key[:-1] + "x")) == (200, 403, 401)
    assert server.post("/v2/repository/models/pm25_1h/unload", b"", {"x-api-key": key}).status == 403
    identity = key.split("_")[1]
    renewed = keys(path, "rotate", identity, "--grace", "60").split()[0]
    wait_for(lambda: status(renewed) == 200, pause=0.5)  # each look is a failed authentication, and 60 are too many
    assert status(key) == 200  # within the grace
    keys(path, "revoke", identity)
    wait_for(lambda: status(renewed) == 401, pause=0.5)
    text = path.read_text()
    assert key.split("_")[2] not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key.split("_")[2] not in keys(path, "list")


def test_the_optional_mode(start: Start, tmp_path: Path, feature_rows: np.ndarray) -> None:
    server = start("--auth", "optional", "--keys", str(tmp_path / "none.json"))
    body = {"instances": [as_row(feature_rows[0])]}
    assert server.post(PREDICT, body).status == 200
    assert server.post(PREDICT, body, {"x-api-key": "almanac_wrong"}).status == 401
    assert server.post("/v2/repository/models/pm25_1h/unload", b"").status == 401


def test_a_rate_limit_is_told_and_kept(start: Start, tmp_path: Path, feature_rows: np.ndarray) -> None:
    path = tmp_path / "keys.json"
    key, other = create(path, "predict", "--rate", "5/h"), create(path, "predict")
    server = start("--auth", "required", "--keys", str(path), "--rate-limit", "1000/s")
    body = {"instances": [as_row(feature_rows[0])]}
    answers = [server.post(PREDICT, body, {"x-api-key": key}) for _ in range(6)]
    assert [answer.status for answer in answers] == [200] * 5 + [429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["4", "3", "2", "1", "0", "0"]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 720
    assert server.post(PREDICT, body, {"x-api-key": other}).status == 200
    assert total(server, "almanac_rate_limited_total", of="key") == 1


def test_a_refusal_takes_a_token_and_tells_the_limit(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = create(path, "explain", "--rate", "4/h")
    server = start("--auth", "required", "--keys", str(path), "--rate-limit", "5/h", "--max-body", "1000")

    def told(answer: Reply) -> tuple[int, str]:
        return answer.status, answer.headers["x-ratelimit-remaining"]

    lacking = [server.post(PREDICT, {}, {"x-api-key": key}) for _ in range(2)]
    assert [told(answer) for answer in lacking] == [(403, "3"), (403, "2")]
    explain = PREDICT.replace("predict", "explain")
    assert told(server.post(explain, b" " * 1001, {"x-api-key": key})) == (413, "1")
    assert told(server.post(explain, {}, {"x-api-key": key})) == (400, "0")
    assert told(server.post(explain, {}, {"x-api-key": key})) == (429, "0")
    for number, status in enumerate((401, 401, 401, 200, 200, 429, 429)):
        answer = server.get("/v2") if number in (3, 4, 6) else server.post(PREDICT, {})
        assert told(answer) == (status, str(max(0, 4 - number)))
    for probe in ("/", "/healthz", "/metrics", "/v2/health/live", "/v2/health/ready", "/v2/models/air/ready"):
        answer = server.get(probe)
        assert (answer.status, "x-ratelimit-limit" in answer.headers) == (200, False)


def test_guesses_are_limited_and_never_slow_a_right_key(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = create(path, "predict")
    server = start("--auth", "required", "--keys", str(path), "--rate-limit", "1000/s")

    def ask(text: str) -> Reply:
        return server.get("/v2/models", {"x-api-key": text})

    # With the id of a key, which its owner's colleagues may know, and with an unknown one.
    for of in (key, "almanac_" + "0" * 12 + "_" + "x" * 43):
        answers = [ask(f"{of[:-4]}{number:04d}") for number in range(80)]
        assert ask(key).status == 200
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) >= 10  # one more guess a second is answered
    assert refused[-1].json["error"] == "rate limit of 60 failed authentications in 60 s reached"
    assert int(refused[-1].headers["retry-after"]) >= 1


def test_public_answers_name_no_key(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = create(path, "predict", "--rate", "1/h")
    server = start("--auth", "required", "--keys", str(path))
    statuses = [server.get("/v2/models", {"x-api-key": key}).status for _ in range(2)]
    assert statuses == [200, 429]
    identity, secret = key.split("_")[1:3]
    for public in ("/metrics", "/healthz", "/openapi.json", "/v2", "/"):
        text = server.get(public).body.decode()
        assert identity not in text
        assert secret not in text
    assert total(server, "almanac_rate_limited_total", of="key") == 1


@needs_redis
def test_replicas_share_their_limits_in_redis(start: Start, tmp_path: Path, feature_rows: np.ndarray) -> None:
    redis, body = Redis(tmp_path), {"instances": [as_row(feature_rows[0])]}
    try:
        # On a loaded machine an answer may take longer than the default allows, and the limit would be a local one.
        environment = {"ALMANAC_RATE_LIMIT": "6/h", "ALMANAC_RATE_LIMIT_STORE": f"{redis.url}?socket_timeout=5"}
        replicas = [start(environment=environment) for _ in range(2)]
        answers = [replicas[number % 2].post(PREDICT, body) for number in range(8)]
        assert [answer.status for answer in answers] == [200] * 6 + [429] * 2
        left = [int(answer.headers["x-ratelimit-remaining"]) for answer in answers]
        assert left == [5, 4, 3, 2, 1, 0, 0, 0]
        assert 0 < int(answers[-1].headers["retry-after"]) <= 600
        redis.stop()
        alone = [replicas[0].post(PREDICT, body).status for _ in range(8)]
        assert alone == [200] * 6 + [429] * 2  # a limit holds without Redis too
    finally:
        redis.stop()


@needs_redis
def test_the_bucket_in_redis_refills_and_is_forgotten(tmp_path: Path) -> None:
    redis, rate = Redis(tmp_path), Rate(10, 0.5)

    async def work() -> list[int]:
        limiter = RedisLimiter(f"{redis.url}?socket_timeout=5")
        found = []
        for pause in (0.0, 0.25, 0.6):
            await asyncio.sleep(pause)
            found.append(sum([(await limiter.take("a", rate)).allowed for _ in range(30)]))
        found.append(await limiter.client.pttl("almanac:1:limit:a"))
        await limiter.close()
        return found

    try:
        first, half, full, life = asyncio.run(work())
    finally:
        redis.stop()
    assert 10 <= first < half + full
    assert 5 <= half <= 15
    assert 10 <= full <= 20
    assert 0 < life <= 1500


def test_headers_and_request_ids(server: ServerProcess, feature_rows: np.ndarray) -> None:
    answer = server.post(PREDICT, {"instances": [as_row(feature_rows[0])]}, {"x-request-id": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers
    injected = server.get("/healthz", {"x-request-id": "a b<script>"})
    assert injected.headers["x-request-id"] != "a b<script>"
    ids = {server.get("/healthz").headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5


def test_cors_only_where_configured(start: Start) -> None:
    server = start("--cors", "https://a.example")
    asked = {"origin": "https://a.example"}
    assert server.request("OPTIONS", PREDICT, None, asked).status == 204
    assert server.get("/healthz", asked).headers["access-control-allow-origin"] == "https://a.example"
    assert server.request("OPTIONS", PREDICT, None, {"origin": "https://b.example"}).status == 403


def test_sizes_and_times_are_limited(start: Start) -> None:
    server = start("--max-body", "1000", "--body-seconds", "0.3")
    assert server.post(PREDICT, b" " * 1001).status == 413
    for head, code in ((b"Content-Length: 20000\r\n", b"413"), (b"Content-Length: 900\r\n", b"408")):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
            sock.sendall(b"POST %s HTTP/1.1\r\nHost: a\r\n%s\r\n{" % (PREDICT.encode(), head))
            assert code in sock.recv(4096).split(b"\r\n")[0]
    chunked = b"Transfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b" " * 1024 + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
        sock.sendall(b"POST %s HTTP/1.1\r\nHost: a\r\n%s" % (PREDICT.encode(), chunked))
        assert b"413" in sock.recv(4096).split(b"\r\n")[0]


def test_the_audit_log_has_hashes_and_no_payloads(start: Start, tmp_path: Path, feature_rows: np.ndarray) -> None:
    path, log = tmp_path / "keys.json", tmp_path / "audit.jsonl"
    key = create(path, "predict")
    server = start("--auth", "required", "--keys", str(path), "--audit-log", str(log))
    body = json.dumps({"instances": [as_row(feature_rows[0])]}).encode()
    answer = server.post(PREDICT, body, {"x-api-key": key, "x-request-id": "one"})
    server.post(PREDICT, body)
    server.post(PREDICT.replace("predict", "explain"), body, {"x-api-key": key})
    server.stop()
    first, second, third = (json.loads(line) for line in log.read_text().splitlines())
    assert first["request_sha256"] == hashlib.sha256(body).hexdigest()
    assert first["answer_sha256"] == hashlib.sha256(answer.body).hexdigest()
    assert (first["who"], first["request_id"], first["status"]) == (key.split("_")[1], "one", 200)
    assert (second["status"], second["who"]) == (401, "127.0.0.1")
    assert (third["status"], third["who"]) == (403, key.split("_")[1])
    assert "pm25_lag" not in log.read_text()


def test_the_audit_log_covers_what_is_refused_before_it_is_read(start: Start, tmp_path: Path) -> None:
    path, log = tmp_path / "keys.json", tmp_path / "audit.jsonl"
    key = create(path, "predict", "--rate", "3/h")
    identity = key.split("_")[1]
    server = start("--auth", "required", "--keys", str(path), "--audit-log", str(log), "--max-body", "1000")
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
        sock.sendall(b"this is no request\r\n\r\n")
        assert b"400" in sock.recv(4096)
    assert server.post("/nowhere", b"", {"x-api-key": key}).status == 404
    assert server.post("/nowhere", b"", {"x-api-key": f"{key[:-4]}0000"}).status == 404
    statuses = [server.post(PREDICT, b" " * 1001, {"x-api-key": key}).status for _ in range(4)]
    assert statuses == [413, 413, 413, 429]
    server.stop()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["status"], line["who"]) for line in lines] == [
        (400, "127.0.0.1"),
        (404, identity),
        (404, "127.0.0.1"),
        *[(413, identity)] * 3,
        (429, identity),
    ]
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_tls(model_dir: Path, tmp_path: Path) -> None:
    certificate, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", str(private), "-out", str(certificate)], check=True, capture_output=True)
    port = free_port()
    arguments = ["--http-port", str(port), "--tls-cert", str(certificate), "--tls-key", str(private)]
    server = ServerProcess.__new__(ServerProcess)
    command = [sys.executable, "-m", "serving", "--model", str(model_dir), *arguments]
    server.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    try:
        assert server.process.stdout is not None
        assert b"https://" in server.process.stdout.readline()
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/healthz", context=context, timeout=5) as answer:
            assert answer.headers["strict-transport-security"]
    finally:
        server.stop()


def test_a_key_ring_survives_its_file(tmp_path: Path) -> None:
    ring = KeyRing()
    key, text = ring.create("a", ("predict",))
    save_keys(ring, tmp_path / "k.json")
    again = load_keys(tmp_path / "k.json")
    assert again.find(text, time.time()) == key
    renewed = again.rotate(key.id, grace=10.0)
    assert again.find(text, time.time()) is not None
    assert again.find(text, time.time() + 11) is None
    assert again.find(renewed, time.time() + 11) is not None
    (tmp_path / "bad.json").write_text('{"keys": [{"id": 1}]}')
    with pytest.raises(ServingError, match="not a key file"):
        load_keys(tmp_path / "bad.json")
    with pytest.raises(ServingError, match="scopes fly"):
        ring.create("b", ("fly",))


def test_keys_that_are_made_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "keys.json"
    with ThreadPoolExecutor(4) as pool:
        texts = list(pool.map(lambda _: create(path, "predict"), range(4)))
    ring = load_keys(path)
    assert len(ring.keys) == 4
    assert all(ring.find(text, time.time()) for text in texts)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda identity: keys(path, "revoke", identity), ring.keys))
    assert all(key.revoked is not None for key in load_keys(path).keys.values())
    assert sorted(file.name for file in path.parent.iterdir()) == [".keys.json.lock", "keys.json"]


def test_a_key_is_shown_only_once_it_is_saved(tmp_path: Path) -> None:
    def run(path: Path, stdout: int | None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "serving", "keys", "--keys", str(path), "create", "--name", "test"]
        return subprocess.run(command, cwd=ROOT, stdout=stdout or subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "keys.json", Path("/proc/nope/keys.json"), tmp_path):
        refused = run(path, None)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith(f"error: {path}: the keys cannot be ")
        assert refused.stderr.count("\n") == 1
    read, write = os.pipe()
    os.close(read)
    unread = run(tmp_path / "keys.json", write)
    os.close(write)
    (identity,) = load_keys(tmp_path / "keys.json").keys
    assert unread.stderr.startswith(f"error: create of {identity} is saved, but nobody reads")
    assert (unread.returncode, unread.stderr.count("\n")) == (1, 1)


def test_a_bucket_refills(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("serving.security.limits.time.monotonic", lambda: now[0])
    limiter, rate = MemoryLimiter(), Rate(10, 1.0)
    assert sum(limiter.take_now("a", rate).allowed for _ in range(15)) == 10
    now[0] += 0.5
    assert sum(limiter.take_now("a", rate).allowed for _ in range(15)) == 5
    assert limiter.take_now("b", rate).remaining == 9


def test_the_bucket_in_use_is_the_last_to_be_forgotten() -> None:
    limiter, rate = MemoryLimiter(), Rate(3, 3600.0)
    for _ in range(3):
        assert limiter.take_now("key", rate).allowed
    for number in range(70_000):
        limiter.take_now(f"client {number}", rate)
        if number % 1000 == 0:
            assert not limiter.take_now("key", rate).allowed
    assert not limiter.take_now("key", rate).allowed
    assert len(limiter._buckets) <= 65536


@pytest.mark.parametrize("text", ["5", "0/s", "5/x", "-1/s", "5/s extra"])
def test_a_rate_must_be_one(text: str) -> None:
    with pytest.raises(ServingError, match="100/s"):
        parse_rate(text)


@pytest.mark.parametrize(("change", "word"), [({"rate_limit_store": "redis"}, "redis://"), ({"max_head": 10}, "4096")])
def test_settings_that_cannot_work_are_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ServingError, match=word):
        Settings(["m"], **change).check()
