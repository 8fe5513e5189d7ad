"""Maintenance of a running server: each order once in every worker, and only for keys of the scope admin."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from serving.security.keys import changing
from tests.support.server import ServerProcess, Start, as_row, wait_for

PATH = "/v2/repository/maintenance"


def predict(server: ServerProcess, row: dict[str, Any]) -> None:
    assert server.post("/v1/models/pm25_1h:predict", {"instances": [row]}).status == 200


def cached(server: ServerProcess) -> float:
    lines = server.get("/metrics").body.decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("almanac_cache_entries"))


def test_orders_are_carried_out_once(start: Start, feature_rows: np.ndarray) -> None:
    server, row = start("--access-log", "errors"), as_row(feature_rows[0])
    predict(server, row)
    assert cached(server) > 0
    order = {"order": "a", "clear_caches": True}
    assert server.post(PATH, order).json["orders"] == ["a"]
    assert cached(server) == 0
    predict(server, row)
    assert server.post(PATH, order).json["orders"] == ["a"]
    assert cached(server) > 0
    assert server.post(PATH, {"order": "b", "reload": "air"}).json["orders"] == ["a", "b"]
    assert server.post(PATH, {"order": "c", "log_level": "debug", "seconds": 600}).json["log_level"] == "debug"
    predict(server, row)
    assert server.post(PATH, {"order": "d", "log_level": "info"}).json["log_level"] == "info"
    predict(server, row)
    assert server.post(PATH, {"order": "e", "log_level": "debug", "seconds": 0.3}).json["log_level"] == "debug"
    wait_for(lambda: server.get(PATH).json["log_level"] == "info")
    requests = [json.loads(line) for line in server.stop().splitlines() if '"event":"request"' in line]
    assert [line["status"] for line in requests if line["path"] == "/v1/models/pm25_1h:predict"] == [200]


def test_wrong_orders_say_what_is_right(server: ServerProcess) -> None:
    for wrong in ({}, {"order": ""}, {"order": "a"}, {"order": "a", "log_level": "debug"}, {"order": "a", "x": 1}):
        assert server.post(PATH, wrong).status == 400
    seconds = server.post(PATH, {"order": "a", "log_level": "debug", "seconds": -1})
    assert (seconds.status, "seconds: above 0" in seconds.body.decode()) == (400, True)
    assert server.post(PATH, {"order": "a", "reload": "other"}).status == 404
    assert server.get(PATH).json["orders"] == []


def test_every_worker_carries_an_order_out(start: Start, feature_rows: np.ndarray, tmp_path: Path) -> None:
    server = start("--workers", "2", "--feature-store", f"sqlite:///{tmp_path}/store.db")
    for _ in range(20):
        predict(server, as_row(feature_rows[0]))
    assert cached(server) > 0
    assert server.post(PATH, {"order": "a", "clear_caches": True}).status == 200
    wait_for(lambda: cached(server) == 0)


def test_only_a_key_of_the_scope_admin_may_order(start: Start, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    with changing(keys) as ring:
        made = {scope: ring.create(scope, (scope,))[1] for scope in ("predict", "admin")}
    server = start("--auth", "required", "--keys", str(keys))
    order = {"order": "a", "clear_caches": True}
    assert server.post(PATH, order).status == 401
    assert server.post(PATH, order, {"x-api-key": made["predict"]}).status == 403
    assert server.post(PATH, order, {"x-api-key": made["admin"]}).status == 200
