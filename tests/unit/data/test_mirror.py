"""ALMANAC_MIRROR: files found by their digest, before any address is asked."""

import os
from pathlib import Path

import pytest

from almanac.core import files
from almanac.core.errors import SourceError
from almanac.core.files import sha256_bytes
from almanac.data import mirror
from almanac.data.cache import Cache
from almanac.data.fetch import fetch
from almanac.data.sources import FetchContext, RetryPolicy
from almanac.data.sources.file import FileSource
from almanac.data.sources.http import HttpSource

DATA = b"timestamp,load\n2020-01-01T00:00,1\n"
COMMON = {"name": "load", "title": "Load", "licence": "CC0", "read": {"time": {"column": "timestamp"}}}


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with two files."""
    root = tmp_path / "mirror"
    (root / "deep").mkdir(parents=True)
    (root / "deep" / "any_name.bin").write_bytes(DATA)
    (root / "other.csv").write_bytes(b"other")
    monkeypatch.setenv(mirror.VARIABLE, str(root))
    return root


def _context(tmp_path: Path) -> FetchContext:
    return FetchContext(tmp_path, Cache(tmp_path / "cache"), RetryPolicy(attempts=1, timeout=1.0))


def _http(sha256: str | None) -> HttpSource:
    # Port 1 answers to nobody.
    mirrors = [{"url": "http://127.0.0.1:1/load.csv"}]
    return HttpSource.model_validate({**COMMON, "type": "http", "mirrors": mirrors, "sha256": sha256})


def test_a_source_is_found_by_its_digest_under_any_name_without_a_network(directory: Path, tmp_path: Path) -> None:
    content = fetch(_http(sha256_bytes(DATA)), _context(tmp_path))
    assert content.data == DATA
    assert content.location == "ALMANAC_MIRROR: deep/any_name.bin"
    # Nothing is copied, and the lineage keeps the first time.
    assert not (tmp_path / "cache" / "blobs").exists()
    assert fetch(_http(sha256_bytes(DATA)), _context(tmp_path)).fetched_at == content.fetched_at


def test_a_file_source_whose_path_is_missing_is_found_too(directory: Path, tmp_path: Path) -> None:
    source = {**COMMON, "type": "file", "path": "missing.csv", "sha256": sha256_bytes(DATA)}
    assert fetch(FileSource.model_validate(source), _context(tmp_path)).data == DATA


def test_without_a_digest_or_a_match_the_addresses_are_asked(directory: Path, tmp_path: Path) -> None:
    for sha256 in (None, sha256_bytes(b"absent")):
        with pytest.raises(SourceError, match=r"http://127.0.0.1:1/load.csv"):
            fetch(_http(sha256), _context(tmp_path))


def test_digests_are_kept_until_a_file_changes(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []

    def counted(path: Path) -> str:
        hashed.append(path.name)
        return files.sha256_file(path)

    monkeypatch.setattr(mirror, "sha256_file", counted)
    cache = Cache(tmp_path / "cache")
    assert mirror.from_mirror(sha256_bytes(DATA), cache) is not None
    assert hashed == ["any_name.bin", "other.csv"]
    assert mirror.from_mirror(sha256_bytes(b"other"), cache) is not None
    assert len(hashed) == 2, "nothing is hashed again for the index"
    changed = directory / "other.csv"
    changed.write_bytes(b"newer")
    os.utime(changed, ns=(0, 1))
    assert mirror.from_mirror(sha256_bytes(b"other"), cache) is None
    found = mirror.from_mirror(sha256_bytes(b"newer"), cache)
    assert found is not None and found.data == b"newer"
    assert hashed[2:] == ["other.csv"]


def test_a_file_changed_under_an_old_time_is_not_taken(directory: Path, tmp_path: Path) -> None:
    cache, path = Cache(tmp_path / "cache"), directory / "other.csv"
    assert mirror.from_mirror(sha256_bytes(b"other"), cache) is not None
    state = path.stat()
    path.write_bytes(b"forge")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert mirror.from_mirror(sha256_bytes(b"other"), cache) is None


def test_a_damaged_index_is_made_again(directory: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    assert mirror.from_mirror(sha256_bytes(DATA), cache) is not None
    (index,) = (tmp_path / "cache" / "mirrors").iterdir()
    index.write_text('{"other.csv": 3')
    assert mirror.from_mirror(sha256_bytes(b"other"), cache) is not None


def test_a_mirror_that_is_no_directory_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(mirror.VARIABLE, str(tmp_path / "absent"))
    with pytest.raises(SourceError, match=r"ALMANAC_MIRROR: .*absent is no directory"):
        fetch(_http(sha256_bytes(DATA)), _context(tmp_path))
