import hashlib
import io
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from almanac.core.errors import SourceError
from almanac.data.ingest import ingest
from almanac.data.sources import RetryPolicy
from tests.support import small
from tests.support.web import Page, Web

ROOT = Path(__file__).resolve().parents[3]
BODY = small.CSV.encode()


def http(*urls: str, **changes: Any) -> Any:
    return small.usecase(
        sources=[small.source(type="http", mirrors=[{"url": url} for url in urls], **changes)],
    )


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_server_that_recovers_is_asked_again(tmp_path: Path) -> None:
    with Web({"/m.csv": Page(BODY, fail=[503, 429])}) as web:
        assert small.take(http(f"{web.url}/m.csv"), tmp_path).height == 4
    assert len(web.asked) == 3


def test_a_refusal_is_not_repeated_and_the_next_mirror_is_asked(tmp_path: Path) -> None:
    with Web({"/good.csv": Page(BODY)}) as web:
        assert small.take(http(f"{web.url}/gone.csv", f"{web.url}/good.csv"), tmp_path).height == 4
    assert [path for path, _ in web.asked] == ["/gone.csv", "/good.csv"]


def test_when_every_mirror_fails_each_is_named_with_its_reason(tmp_path: Path) -> None:
    with Web({"/down.csv": Page(BODY, fail=[500] * 9)}) as web:
        closed = "http://127.0.0.1:9"
        case = http(f"{web.url}/down.csv?token=secret", f"{web.url}/gone.csv", f"{closed}/m.csv")
        web.pages["/down.csv?token=secret"] = web.pages["/down.csv"]
        with pytest.raises(SourceError) as caught:
            small.take(case, tmp_path)
    message = str(caught.value)
    assert message.startswith("sources.meters: no place gave the file:")
    assert f"{web.url}/down.csv: answered 500 Internal Server Error, at each of 3 attempts" in message
    assert f"{web.url}/gone.csv: answered 404 Not Found" in message
    assert "127.0.0.1:9/m.csv: ConnectError" in message
    assert "secret" not in message
    assert not (tmp_path / "out" / "table.parquet").exists()


@pytest.mark.parametrize("etag", ['"v1"', None])
def test_a_download_that_breaks_off_goes_on_where_it_stopped(tmp_path: Path, etag: str | None) -> None:
    with Web({"/m.csv": Page(BODY, cut=[20, 50], etag=etag)}) as web:
        assert small.take(http(f"{web.url}/m.csv", sha256=sha(BODY)), tmp_path).height == 4
    assert [wanted for _, wanted in web.asked] == [None, "bytes=20-", "bytes=50-"]
    assert web.sent == len(BODY)


@pytest.mark.parametrize("page", [Page(BODY, cut=[20], etag='W/"v1"'), Page(BODY, cut=[20], validators=False)])
def test_without_a_strong_validator_it_begins_again(tmp_path: Path, page: Page) -> None:
    with Web({"/m.csv": page}) as web:
        assert small.take(http(f"{web.url}/m.csv"), tmp_path).height == 4
    assert web.sent == len(BODY) + 20


def test_a_file_that_changed_in_between_is_not_patched_together(tmp_path: Path) -> None:
    other = BODY.replace(b"1.5", b"9.5")
    with Web({"/m.csv": Page(BODY, cut=[20])}) as web:
        case = http(f"{web.url}/m.csv")
        with pytest.raises(SourceError, match=r"ended|RemoteProtocolError"):
            ingest(case, tmp_path, tmp_path / "cache", tmp_path / "t.parquet", RetryPolicy(1, 0.01, 0.01))
        web.pages["/m.csv"] = Page(other, etag='"v2"')
        assert small.take(case, tmp_path)["load"][0] == 9.5
    assert [wanted for _, wanted in web.asked] == [None, "bytes=20-"]


def test_an_unchanged_file_is_not_sent_again_and_a_changed_one_is(tmp_path: Path) -> None:
    with Web({"/m.csv": Page(BODY)}) as web:
        case = http(f"{web.url}/m.csv")
        small.take(case, tmp_path)
        small.take(case, tmp_path)
        assert (len(web.asked), web.sent) == (2, len(BODY))
        web.pages["/m.csv"] = Page(BODY.replace(b"1.5", b"9.5"), etag='"v2"')
        assert small.take(case, tmp_path)["load"][0] == 9.5


def test_a_declared_digest_in_the_cache_needs_no_server(tmp_path: Path) -> None:
    with Web({"/m.csv": Page(BODY)}) as web:
        case = http(f"{web.url}/m.csv", sha256=sha(BODY))
        first = small.take(case, tmp_path)
    assert small.take(case, tmp_path).equals(first)


def test_damage_in_the_cache_is_noticed(tmp_path: Path) -> None:
    with Web({"/m.csv": Page(BODY)}) as web:
        case = http(f"{web.url}/m.csv", sha256=sha(BODY))
        first = small.take(case, tmp_path)
        (tmp_path / "cache" / "blobs" / sha(BODY)).write_bytes(BODY[:-7])
        assert small.take(case, tmp_path).equals(first)
    assert len(web.asked) == 2


def test_a_wrong_digest_leads_to_the_next_mirror_and_then_to_an_error(tmp_path: Path) -> None:
    with Web({"/altered.csv": Page(BODY + b"\n"), "/good.csv": Page(BODY)}) as web:
        bad, good = f"{web.url}/altered.csv", f"{web.url}/good.csv"
        assert small.take(http(bad, good, sha256=sha(BODY)), tmp_path).height == 4
        with pytest.raises(SourceError, match=rf"has sha256 {sha(BODY + chr(10).encode())}, not the declared 0000"):
            small.take(http(bad, sha256="0" * 64), tmp_path)


def test_a_member_is_taken_out_of_an_archive(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("data/meters.csv", small.CSV)
    with Web({"/a.zip": Page(stream.getvalue()), "/b.zip": Page(BODY)}) as web:
        mirror = {"url": f"{web.url}/a.zip", "member": "data/meters.csv"}
        case = small.usecase(sources=[small.source(type="http", mirrors=[mirror], sha256=sha(BODY))])
        assert small.take(case, tmp_path).height == 4
        wrong = [{**mirror, "member": "meters.csv"}, {**mirror, "url": f"{web.url}/b.zip"}]
        with pytest.raises(SourceError, match=r"holds no meters.csv; there is data/meters.csv[\s\S]*is not a zip"):
            small.take(small.usecase(sources=[small.source(type="http", mirrors=wrong)]), tmp_path)


_DOWNLOAD = """
import sys
from pathlib import Path
from almanac.data.ingest import ingest
from almanac.data.sources import RetryPolicy
from tests.support import small
case = small.usecase(sources=[small.source(type="http", mirrors=[{"url": sys.argv[1]}])])
small.take(case, Path(sys.argv[2]))
"""


def test_a_killed_download_is_resumed_by_the_next_run(tmp_path: Path) -> None:
    rows = "".join(f"2020-01-{1 + i // 24:02d}T{i % 24:02d}:00,{i % 90},a\n" for i in range(700))
    body = f"time,load,kind\n{rows}".encode()
    page = Page(body, pause=0.05)
    with Web({"/m.csv": page}) as web:
        process = subprocess.Popen([sys.executable, "-c", _DOWNLOAD, f"{web.url}/m.csv", str(tmp_path)], cwd=ROOT)
        partial = tmp_path / "cache" / "partial"
        deadline = time.monotonic() + 20
        while not any(p.suffix == "" and p.stat().st_size > 2000 for p in partial.glob("*")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        page.pause = 0.0
        table = small.take(http(f"{web.url}/m.csv"), tmp_path)
    assert table.height == 700
    resumed_at = int((web.asked[-1][1] or "").removeprefix("bytes=").removesuffix("-"))
    assert 2000 < resumed_at < len(body)
    assert table["load"].equals(pl.Series("load", [float(i % 90) for i in range(700)]))
