"""A real model of the real series, written as the contract says, and a server process on it."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from almanac.core.files import canonical_json, read_json, sha256_bytes, sha256_file, write_bytes, write_json
from almanac.features.batch import compute
from almanac.features.spec import FeatureSpec
from almanac.usecase.load import load_text

ROOT = Path(__file__).resolve().parent.parent.parent
NUMBERS = ("pm25", "dewp", "temp", "pres", "iws", "snow_hours", "rain_hours")
WIND = ("NW", "NE", "SE", "cv")
_HANGS = 300.0
FEATURES = (*NUMBERS, "cbwd", "pm25_lag_1h", "pm25_lag_24h", "hour")


USE_CASE = """
name: air
title: Air
description: Air
time: {column: timestamp, frequency: 1h}
sources:
  - name: station
    type: file
    title: Air
    licence: CC BY 4.0
    path: air.csv
    read: {time: {column: timestamp}}
columns:
  pm25: {type: float, min: 0, max: 1000, max_missing: 0.1, description: PM2.5}
  dewp: {type: float, min: -60, max: 40, description: Dew point}
  temp: {type: float, min: -40, max: 50, description: Temperature}
  pres: {type: float, min: 950, max: 1070, description: Pressure}
  iws: {type: float, min: 0, max: 1000, description: Wind}
  snow_hours: {type: float, min: 0, max: 100, description: Snow}
  rain_hours: {type: float, min: 0, max: 100, description: Rain}
  cbwd: {type: category, categories: [NW, NE, SE, cv], description: Wind direction}
features:
  cutoff: CUTOFF
  items:
    - {kind: value, group: now, columns: [pm25, dewp, temp, pres, iws, snow_hours, rain_hours]}
    - {kind: categorical, group: now, columns: [cbwd]}
    - {kind: lag, group: past, columns: [pm25], lags: [1h, 24h]}
    - {kind: calendar, group: time, fields: [hour]}
targets:
  - {name: pm25_1h, column: pm25, horizon: 1h}
  - {name: pm25_6h, column: pm25, horizon: 6h}
split: {test_from: 2014-01-01, test_to: 2015-01-01}
training:
  candidates: [{kind: lightgbm, name: trees}]
evaluation: {season: 24h, bands: {edges: [35]}}
gates: [{rule: beats_baselines}]
governance: {owner: a, contact: b@example.org}
"""


def feature_spec(cutoff: str = "0h") -> FeatureSpec:
    """The specification of a small use case."""
    return FeatureSpec.of(load_text(USE_CASE.replace("CUTOFF", cutoff), "air.yaml"))


def simple_features(table: pl.DataFrame, spec: FeatureSpec | None = None) -> np.ndarray:
    """The features of the real series by the batch engine, shape (n, f)."""
    spec = spec or feature_spec()
    X: np.ndarray = compute(spec, table).select(spec.names).to_numpy()
    return X


def write_target(directory: Path, table: pl.DataFrame, hours: int, trees: int = 40, cutoff: str = "0h") -> None:
    """Train one target on the real series and write its model directory."""
    import lightgbm

    spec = feature_spec(cutoff)
    assert tuple(spec.names) == FEATURES
    X = simple_features(table, spec)[-17_520:]
    y = table["pm25"].shift(-hours).to_numpy()[-17_520:]
    keep = np.isfinite(y) & np.isfinite(X[:, 0])
    data = lightgbm.Dataset(X[keep], y[keep] - X[keep, 0], feature_name=list(FEATURES), free_raw_data=False)
    options = {"objective": "l2", "num_leaves": 31, "verbosity": -1, "num_threads": 1, "seed": 7, "deterministic": True}
    booster = lightgbm.train(options, data, trees)
    residuals = y[keep] - X[keep, 0] - booster.predict(X[keep])
    edges = np.quantile(X[keep, 0], [0.25, 0.5, 0.75])
    bins = np.searchsorted(edges, X[keep, 0], side="right")
    ends = [np.quantile(residuals[bins == b], [0.05, 0.95]) for b in range(4)]
    directory.mkdir(parents=True)
    write_bytes(directory / "model.bst", booster.model_to_string().encode())
    documents = {
        "features.json": {"spec": spec.model_dump(mode="json"), "names": spec.names, "fitted": {}},
        "offset.json": {"intercept": 0.0, "terms": {"pm25": 1.0}, "fill": {"pm25": 98.0}, "clip": [0.0, None]},
        "intervals.json": {
            "format": 1, "nominal": 0.9, "by": "pm25", "edges": edges.tolist(),
            "lower": [e[0] for e in ends], "upper": [e[1] for e in ends],
            "missing": {"lower": -150.0, "upper": 150.0}, "clip": [0.0, None],
            "scale": {"knots": [10.0, 100.0, 400.0], "values": [0.8, 1.0, 1.5]},
        },
        "signature.json": _signature(f"pm25_{hours}h", X),
        "reference.json": {},
    }  # fmt: skip
    for name, document in documents.items():
        write_json(directory / name, document)
    write_json(directory / "manifest.json", {"target": f"pm25_{hours}h", "kind": "lightgbm", **_manifest(directory)})


def _signature(target: str, X: np.ndarray) -> dict[str, object]:
    inputs: list[dict[str, object]] = [{"name": "timestamp", "type": "timestamp"}]
    declared = load_text(USE_CASE.replace("CUTOFF", "0h"), "air.yaml").columns
    for name in NUMBERS:
        inputs.append(
            {"name": name, "type": "float", "min": declared[name].min, "max": declared[name].max, "nullable": True}
        )
    inputs.append({"name": "cbwd", "type": "category", "categories": list(WIND), "nullable": True})
    features: list[dict[str, object]] = []
    for at, name in enumerate(FEATURES):
        low, high = float(np.nanmin(X[:, at])), float(np.nanmax(X[:, at]))
        item: dict[str, object] = {"name": name, "type": "float", "min": low, "max": high}
        if name == "cbwd":
            item = {"name": name, "type": "category", "categories": list(WIND)}
        elif name == "hour":
            item["nullable"] = False
        features.append(item)
    return {
        "target": {"name": target, "column": "pm25", "horizon": target.removeprefix("pm25_"), "unit": "µg/m³"},
        "inputs": inputs,
        "features": features,
        "outputs": [{"name": "prediction", "type": "float", "unit": "µg/m³"}],
        "decision": {"thresholds": [35, 75, 150], "names": ["excellent", "good", "light", "heavy"]},
    }


def _manifest(directory: Path) -> dict[str, object]:
    files = {
        str(path.relative_to(directory)): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path != directory / "manifest.json"
    }
    return {
        "format": 1, "use_case": "air", "use_case_digest": sha256_bytes(canonical_json({"name": "air"})),
        "data_digest": "0" * 64, "git_revision": "0" * 40, "libraries": {"lightgbm": version("lightgbm")},
        "files": files,
    }  # fmt: skip


def write_model(directory: Path, table: pl.DataFrame, trees: int = 40, cutoff: str = "0h") -> Path:
    """Write a model directory with two targets, as a run does."""
    for hours in (1, 6):
        write_target(directory / f"pm25_{hours}h", table, hours, trees, cutoff)
    manifest = {"targets": ["pm25_1h", "pm25_6h"], **_manifest(directory)}
    write_json(directory / "manifest.json", manifest)
    return directory


def altered(model: Path, to: Path, change: Callable[[Path], None]) -> Path:
    """Copy a model to another directory, change each target's files, and renew the manifests."""
    shutil.copytree(model, to)
    for directory in (to / "pm25_1h", to / "pm25_6h"):
        change(directory)
        write_json(directory / "manifest.json", read_json(directory / "manifest.json") | _manifest(directory))
    write_json(to / "manifest.json", read_json(to / "manifest.json") | _manifest(to))
    return to


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory, beijing: pl.DataFrame) -> Path:
    """A model of two targets."""
    return write_model(tmp_path_factory.mktemp("served") / "model", beijing)


@pytest.fixture(scope="session")
def feature_rows(beijing: pl.DataFrame) -> np.ndarray:
    """Real feature rows of 2014 whose newest value is there, float64 of shape (n, f)."""
    X = simple_features(beijing)[-8760:]
    kept: np.ndarray = X[np.isfinite(X[:, 0])]
    return kept


def as_row(values: np.ndarray) -> dict[str, object]:
    """One row by name, as JSON has it: null for missing, the wind by its name."""
    row: dict[str, object] = {
        name: None if np.isnan(value) else float(value) for name, value in zip(FEATURES, values, strict=True)
    }
    if row["cbwd"] is not None:
        row["cbwd"] = WIND[int(values[FEATURES.index("cbwd")])]
    return row


@dataclass
class Reply:
    """An answer over HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as JSON."""
        document: dict[str, Any] = json.loads(self.body)
        return document


class ServerProcess:
    """A server in a process of its own, asked over a real socket."""

    context: ssl.SSLContext | None = None

    def __init__(
        self, arguments: list[str], environment: dict[str, str] | None = None, tls: tuple[Path, Path] | None = None
    ) -> None:
        self.port = free_port()
        if tls is not None:
            self.context = ssl.create_default_context(cafile=tls[0])
            arguments = [*arguments, "--tls-cert", str(tls[0]), "--tls-key", str(tls[1])]
        command = [sys.executable, "-m", "serving", "--http-port", str(self.port), *arguments]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{'https' if self.context else 'http'}://localhost:{self.port}"

    def wait(self) -> "ServerProcess":
        """Wait until it is ready, or its process has ended."""
        wait_for(self._ready)
        return self

    def _ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(self.process.communicate()[1].decode())
        try:
            return self.get("/healthz").status == 200
        except OSError:
            return False

    def get(self, path: str, headers: dict[str, str] | None = None) -> Reply:
        return self.request("GET", path, None, headers)

    def post(self, path: str, body: object, headers: dict[str, str] | None = None) -> Reply:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, data, {"content-type": "application/json", **(headers or {})})

    def request(self, method: str, path: str, data: bytes | None, headers: dict[str, str] | None = None) -> Reply:
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=20, context=self.context) as answer:
                return Reply(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())

    def stop(self) -> str:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            _, errors = self.process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, errors = self.process.communicate()
        return errors.decode()


def wait_for(condition: Callable[[], object], pause: float = 0.02) -> None:
    """Wait for a state, however long a loaded machine takes; only what hangs fails."""
    deadline = time.monotonic() + _HANGS
    while not condition():
        assert time.monotonic() < deadline, "hangs"
        time.sleep(pause)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


Start = Callable[..., ServerProcess]


@pytest.fixture
def start(model_dir: Path) -> Iterator[Start]:
    """Start servers with further arguments; they are stopped after the test."""
    running: list[ServerProcess] = []

    def begin(
        *arguments: str,
        model: Path | str = model_dir,
        environment: dict[str, str] | None = None,
        tls: tuple[Path, Path] | None = None,
    ) -> ServerProcess:
        server = ServerProcess(["--model", str(model), *arguments], environment, tls)
        running.append(server)
        return server.wait()

    yield begin
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of this machine's name, and its private key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, private = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(private), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, private


@pytest.fixture(scope="session")
def server(model_dir: Path) -> Iterator[ServerProcess]:
    """One server for the tests that only ask."""
    process = ServerProcess(["--model", str(model_dir)]).wait()
    yield process
    process.stop()
