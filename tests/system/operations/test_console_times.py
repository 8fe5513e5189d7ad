"""Pages on data whose times have no calendar: they count days, as reports do."""

import html
import json
import re
from pathlib import Path

import pytest

from almanac.core.files import canonical_json, read_json, sha256_file, write_json
from almanac.usecase import dump, load
from governance.registry import Registry, collect
from operations.console.app import build
from operations.console.keys import add_key
from operations.console.settings import ConsoleSettings
from tests.support.bundles import document_files, version_files
from tests.support.console import serving
from tests.support.operations_world import World, write_world
from tests.support.server import ROOT

#: A day or a time of the data's years in the calendar.
DATED = re.compile(r"202[56]-\d\d-\d\d")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world whose newest version states that its times are counted from the first of 2025."""
    world = write_world(tmp_path)
    stated = json.loads(dump(load(ROOT / "usecases" / "server_load.yaml"))) | {"name": "demo"}
    stated["time"]["origin"] = "2025-01-01"
    files = version_files(tmp_path, "third")
    number = Registry(world.registry).register("demo", files, who="ann", why="counted", approval="none")
    document_files(tmp_path / "third", files)
    folder = tmp_path / "third" / "governance"
    write_json(folder / "usecase.json", stated)
    manifest = read_json(folder / "manifest.json")
    manifest["files"]["usecase.json"] = {"sha256": sha256_file(folder / "usecase.json")}
    (folder / "manifest.json").write_bytes(canonical_json(manifest))
    documents = collect(folder, "governance")
    Registry(world.registry).attach_documents("demo", number, documents, who="ann", why="documented")
    newest = max((world.runs / "demo" / "monitoring").iterdir()) / "monitoring.json"
    staleness = {"newest": "2026-01-02T05:00:00", "age_seconds": 3600, "max_age_seconds": None, "stale": False}
    write_json(newest, read_json(newest) | {"staleness": staleness})
    return world


def test_pages_count_the_days_of_a_trace(world: World, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    given = {"viewer": add_key(keys, "vera", "viewer")}
    history, audit = f"sqlite:///{tmp_path}/history.db", tmp_path / "audit.jsonl"
    settings = ConsoleSettings(history, world.origins, keys, None, None, False, audit)
    with serving(build(settings), given) as client:
        client.post("/login", data={"key": given["viewer"]})
        performance = html.unescape(client.get("/performance").text)
        drift = html.unescape(client.get("/drift?column=wind").text)
        data = client.get("/data").text
    # The world's windows end on the first days of 2026, of which the first is day 365.
    assert "day 365, 00:00" in performance and "day 365, 01" in performance
    assert DATED.search(performance) is None
    assert '<span title="day 336, 00:00">day 336</span>' in drift and '"day 336, 00:00"' in drift
    assert DATED.search(re.sub(r"/runs/\S+", "", drift)) is None
    assert "day 366, 05:00" in data
