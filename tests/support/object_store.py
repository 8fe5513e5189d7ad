"""An S3 of moto's, on a real socket, for tests of what lies in object stores."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import fsspec
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from tests.support.background import in_background


@contextmanager
def serving_s3() -> Iterator[str]:
    """Serve an S3 on loopback; yield its address."""
    store = DomainDispatcherApplication(create_backend_app)
    with in_background(make_server("127.0.0.1", 0, store, threaded=True, request_handler=MotoRequestHandler)) as url:
        # All servers of a process share their buckets.
        urlopen(Request(f"{url}/moto-api/reset", method="POST")).close()
        yield url


def use_endpoint(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let s3:// mean the store at an address."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def upload(directory: Path, address: str) -> None:
    """Put the files of a directory to an address in a bucket, which is made."""
    store = fsspec.filesystem("s3")
    store.mkdir(address.removeprefix("s3://").partition("/")[0])
    for path in (each for each in directory.rglob("*") if each.is_file()):
        store.put(str(path), f"{address}/{path.relative_to(directory)}")
