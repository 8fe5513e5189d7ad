"""A server and the registry's rules: rejected versions and forged events are not served."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from almanac.core.errors import ServingError
from governance.registry import Policy, Registry
from serving.prediction.source import Source
from tests.support.bundles import document_files
from tests.support.forgery import forge
from tests.support.server import ServerProcess, Start, as_row, wait_for, write_model

PREDICT = "/v1/models/pm25_1h:predict"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_dir: Path, beijing: pl.DataFrame) -> Registry:
    """A registry with version 1 in production and version 2 beside it."""
    monkeypatch.setenv("ALMANAC_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("ALMANAC_CACHE", str(tmp_path / "cache"))
    registry = Registry(tmp_path / "registry")
    for name, model in (("one", model_dir), ("two", write_model(tmp_path / "model", beijing, trees=12))):
        files = {f"model/{path.relative_to(model)}": path for path in model.rglob("*") if path.is_file()}
        (tmp_path / name).mkdir()
        files["gate.json"] = tmp_path / name / "gate.json"
        files["gate.json"].write_text(json.dumps({"passed": True, "rules": []}))
        number = registry.register("demo", files, who="ann", why="test", approval="none")
        registry.attach_documents("demo", number, document_files(tmp_path / name, files), who="ann", why="test")
    registry.promote("demo", 1, who="ann", why="go")
    return registry


def test_a_rejected_version_takes_an_option(registry: Registry) -> None:
    registry.set_alias("demo", 2, "challenger", who="ann", why="try it")
    assert Source("registry:demo@challenger").load().version == "2"
    registry.reject("demo", 2, who="bob", why="biased")
    source = Source("registry:demo/2")
    for attempt in (source.load, source.current):
        with pytest.raises(
            ServingError, match=r"version 2 was rejected by bob; --allow-rejected serves it all the same"
        ):
            attempt()
    assert Source("registry:demo/2", allow_rejected=True).load().version == "2"


def test_a_server_takes_the_option_and_no_forged_promotion(
    start: Start, registry: Registry, feature_rows: np.ndarray, tmp_path: Path
) -> None:
    body = {"instances": [as_row(feature_rows[5])]}
    environment = {"ALMANAC_REGISTRY": registry.store.url, "ALMANAC_CACHE": str(tmp_path / "cache")}
    registry.set_policy("demo", Policy("required"), who="ann", why="from now on")
    server = start("--poll-seconds", "0.2", model="registry:demo/production", environment=environment)
    assert server.post(PREDICT, body).json["model_version"] == "1"
    entry = registry.version("demo", 2)
    detail = {"manifest": entry.manifest, "documents": entry.documents, "stage": "production"}
    forge(registry, "promoted", 2, detail)
    wait_for(lambda: failed_swaps(server) > 0)
    assert server.post(PREDICT, body).json["model_version"] == "1"


def failed_swaps(server: ServerProcess) -> float:
    lines = server.get("/metrics").body.decode().splitlines()
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith('almanac_model_swaps_total{result="failed"')
    )
