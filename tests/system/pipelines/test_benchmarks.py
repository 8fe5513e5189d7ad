"""Benchmarks run to their end at a small size: what they call is what the code has, and both sides agree."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest

from almanac.core.errors import ServingError
from benchmarks.serving_processes import Peer, running

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("benchmarks") / "model.bst"
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 12))
    data = lightgbm.Dataset(X, X[:, 0] * X[:, 1] + rng.normal(size=2000))
    lightgbm.train({"num_leaves": 15, "verbose": -1, "num_threads": 1}, data, 20).save_model(path)
    return path


def measured(*command: str) -> dict[str, Any]:
    program = [sys.executable, "-m", *command]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_features(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.features",
        "--rows",
        "12000",
        "--repeats",
        "2",
        "--json",
        str(tmp_path / "figures.json"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    record = json.loads((tmp_path / "figures.json").read_text())
    agreement = record["agreement"]
    assert agreement["rows"] == 12_000
    assert 0 <= agreement["largest"] <= agreement["tolerance"] <= 1e-9
    (size,) = record["sizes"]
    assert size["rows"] == 12_000
    low, high = size["ratio_spread"]
    assert 0 < low <= size["ratio"] <= high
    assert size["output_bytes"] == 12_000 * 8 * record["online"]["features"]
    assert len(record["online"]["micros"]) == 2
    assert min(record["online"]["micros"]) > 0


@pytest.mark.parametrize(
    ("name", "peer", "difference"),
    [
        ("predict", "Booster.predict, 1 thread", "ours_largest_difference"),
        ("explain", "pred_contrib, 1 thread", "largest_difference_from_pred_contrib"),
    ],
)
def test_trees(model: Path, name: str, peer: str, difference: str) -> None:
    found = measured(f"benchmarks.{name}", "--rounds", "1", "--json", "--model", str(model))
    assert found["facts"]["kind"] == "compiled"
    # A peer that gave other figures would not be one.
    assert 0 <= found["facts"][difference] <= 1e-12
    assert len(found["cases"]) >= 2
    for case in found["cases"]:
        for spread in (case["seconds"]["ours (compiled)"], case["seconds"][peer], case["ratio_to_ours"][peer]):
            assert 0 < spread["low"] <= spread["median"] <= spread["high"]


def test_the_policy() -> None:
    found = measured("benchmarks.policy_backtest", "--start", "2014-09-15", "--targets", "pm25_1h", "--json")
    assert found["use_case"] == "air_quality"
    policies = found["policies"]
    assert list(policies) == ["never", "every window", "every window, gate", "drift policy", "drift policy, gate"]
    never, every, drift = (policies[name] for name in ("never", "every window", "drift policy"))
    assert never["windows"] == every["windows"] == drift["windows"] == 3
    assert (never["retrainings"], every["retrainings"]) == (0, 2)
    assert every["trained"] == ["2014-09-15", "2014-10-15", "2014-11-14"]
    assert drift["retrainings"] == len(drift["reasons"]) <= drift["breaching_windows"] <= 3
    errors = [policy["targets"]["pm25_1h"] for policy in policies.values()]
    assert len({figures["n"] for figures in errors}) == 1
    assert 1500 < errors[0]["n"] <= 90 * 24
    for figures in errors:
        assert 5 < figures["mae"] < figures["rmse"] < 40
    # With as much as a retraining between them the forecasts are others; without one they are the same.
    assert never["targets"] != every["targets"]
    # A gated model was judged on the window before it was used, and learned what was known before that window.
    gated = policies["every window, gate"]
    assert gated["retrainings"] + gated["refused"] == 1
    assert gated["trained"][1:] == ["2014-10-15"][: gated["retrainings"]]
    for policy in policies.values():
        beside = policy["beside_never"]["pm25_1h"]
        change = policy["targets"]["pm25_1h"]["mae"] / never["targets"]["pm25_1h"]["mae"] - 1
        assert beside["change"] == pytest.approx(change)
        assert beside["interval"][0] <= beside["change"] <= beside["interval"][1]
    if not drift["retrainings"]:
        assert drift["targets"] == never["targets"]


def test_a_server_that_does_not_start_says_its_last_words() -> None:
    program = "import sys; print('first'); sys.exit('the model is no model')"
    peer = Peer("broken", [sys.executable, "-c", program], "/", "named", {})
    expected = r"broken ended with code 1 .*last words:\nfirst\nthe model is no model"
    with pytest.raises(ServingError, match=expected), running(peer, b"", "0"):
        pass


def test_a_server_has_a_port_of_its_own(tmp_path: Path) -> None:
    program = "import http.server, sys\nclass H(http.server.BaseHTTPRequestHandler):\n  def do_POST(self):\n"
    program += "    self.send_response(200); self.send_header('content-length', '0'); self.end_headers()\n"
    program += "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()"
    peer = Peer("plain", [sys.executable, "-c", program, "{port}"], "/", "named", {})
    with running(peer, b"", "0") as first, running(peer, b"", "0") as second:
        assert first.url != second.url
        assert first.cold_start > 0


def test_the_gate() -> None:
    found = measured("benchmarks.gate", "--months", "4", "--days", "30", "--json")
    assert (found["months"], found["days"]) == (4, 30)
    # More than one of four equal models would be more than chance.
    assert found["equal"]["refused"] <= 0.25
    assert found["worse"]["refused"] >= found["equal"]["refused"]
    for target in found["targets"].values():
        assert target["detectable_excess"] > 0
        assert 0 <= target["months_that_allow_it"] <= 4
