"""Rate limits while Redis is slow or away: no request waits, the limit stays, and metrics and log say so."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from serving.security.limits import Rate
from tests.support.server import Start, as_row, wait_for
from tests.system.serving.test_operation import total
from tests.system.serving.test_security import PREDICT
from tests.system.serving.test_store import Redis, needs_redis
from tests.system.serving.test_workers import wait_until_all_serve


@pytest.mark.parametrize("workers", [1, 2, 4, 7])
@pytest.mark.parametrize("limit", [1.0, 2.0, 10.0, 1000.0])
def test_shares_add_up_to_the_rate(limit: float, workers: int) -> None:
    rate = Rate(limit, 60.0)
    share = rate.shared_by(workers)
    assert share.limit >= 1.0  # a bucket for less than a token would never admit anybody
    assert share.per_second * workers == pytest.approx(rate.per_second)


@needs_redis
@pytest.mark.parametrize("fault", ["stopped", "killed"])
def test_no_request_waits_for_redis(start: Start, tmp_path: Path, feature_rows: np.ndarray, fault: str) -> None:
    redis, body = Redis(tmp_path), {"instances": [as_row(feature_rows[0])]}
    environment = {"ALMANAC_RATE_LIMIT": "100000/s", "ALMANAC_RATE_LIMIT_STORE": redis.url}
    server = start(environment=environment)
    try:
        assert server.post(PREDICT, body).status == 200
        wait_for(lambda: total(server, "almanac_redis_available", use="limits") == 1)
        os.kill(redis.process.pid, signal.SIGSTOP if fault == "stopped" else signal.SIGKILL)
        begin = time.perf_counter()
        assert all(server.post(PREDICT, body).status == 200 for _ in range(100))
        assert time.perf_counter() - begin < 10.0  # 0.1 s for the first, and not 0.5 s for each
        assert total(server, "almanac_redis_available", use="limits") == 0
        if fault == "stopped":
            os.kill(redis.process.pid, signal.SIGCONT)
        else:
            redis.process.wait()
            redis.start()
        wait_for(lambda: total(server, "almanac_redis_available", use="limits") == 1)
        assert server.post(PREDICT, body).status == 200
    finally:
        redis.stop()
    log = server.stop()
    assert "Redis (rate limits) does not answer" in log
    assert "this process limits by itself meanwhile" in log
    assert "Redis (rate limits) answers again" in log


@needs_redis
def test_workers_divide_the_limit_among_them(start: Start, tmp_path: Path, feature_rows: np.ndarray) -> None:
    redis, body = Redis(tmp_path), {"instances": [as_row(feature_rows[0])]}
    try:
        environment = {"ALMANAC_RATE_LIMIT": "8/h", "ALMANAC_RATE_LIMIT_STORE": redis.url}
        store = f"sqlite:///{tmp_path}/s.db"
        server = start("--workers", "2", "--feature-store", store, environment=environment)
        wait_until_all_serve(server, 2)
        redis.stop()
        # Whichever worker accepts: together they admit what one limit admits.
        statuses = [server.post(PREDICT, body).status for _ in range(60)]
        assert statuses.count(200) == 8
        assert statuses.count(429) == 52
    finally:
        redis.stop()
