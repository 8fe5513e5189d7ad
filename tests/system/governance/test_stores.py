"""Object stores over real HTTP: one that keeps the create-only condition, and ones that ignore it."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import fsspec
import pytest

from almanac.core.errors import RegistryError
from governance.registry import Registry, resolve
from governance.registry.stores import open_store
from tests.support.background import in_background
from tests.support.bundles import documented_version, version_files
from tests.support.object_store import serving_s3, use_endpoint


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with serving_s3() as url:
        yield url


@pytest.fixture
def s3(moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    use_endpoint(monkeypatch, moto)
    fsspec.filesystem("s3").makedirs("bucket", exist_ok=True)
    return f"s3://bucket/{tmp_path.name}"


class TestS3:
    def test_the_life_of_a_version(self, s3: str, tmp_path: Path) -> None:
        registry = Registry(s3)
        one = documented_version(registry, tmp_path, "a", approval="required")
        registry.approve("demo", one, who="bob", why="read it")
        registry.promote("demo", one, who="ann", why="go")
        two = documented_version(registry, tmp_path, "b")
        registry.approve("demo", two, who="bob", why="read it")
        registry.promote("demo", two, who="ann", why="go")
        assert Registry(s3).rollback("demo", who="bob", why="worse") == one
        assert Registry(s3).verify("demo").stages() == {"production": one}
        assert Registry(s3).use_cases() == ["demo"]
        model = resolve("registry:demo/production", s3, tmp_path / "cache")
        assert (model / "model.bst").read_text() == "tree\nmark=a\n"
        url = registry.publish("demo", one)
        assert url.startswith(f"{s3}/use_cases/demo/models/")
        assert fsspec.filesystem("s3").exists(f"{url}/model.bst")
        assert registry.store.tree("use_cases/demo/models/nowhere") == []
        registry.verify("demo")
        fsspec.filesystem("s3").pipe_file(f"{url}/model.bst", b"other")
        with pytest.raises(RegistryError, match=r"models/\w+/model\.bst: the published copy of model/model\.bst was"):
            registry.verify("demo")

    def test_a_taken_key_is_refused_and_keeps_its_bytes(self, s3: str) -> None:
        store = open_store(s3)
        store.create("a", b"first")
        with pytest.raises(FileExistsError):
            store.create("a", b"second")
        assert store.read("a") == b"first"

    def test_many_promoters_at_once_lose_no_event(self, s3: str, tmp_path: Path) -> None:
        numbers = [documented_version(Registry(s3), tmp_path, f"v{index}") for index in range(3)]
        writers = [Registry(s3) for _ in numbers]
        with ThreadPoolExecutor(len(numbers)) as pool:
            list(
                pool.map(
                    lambda pair: pair[0].promote("demo", pair[1], who="ann", why="go"),
                    zip(writers, numbers, strict=True),
                )
            )
        events = [event for event in Registry(s3).log("demo") if event.kind == "promoted"]
        assert sorted(event.version for event in events) == numbers
        assert Registry(s3).verify("demo").stages() == {"production": events[-1].version}

    def test_a_long_log_is_read_many_events_at_a_time(
        self, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        registry = Registry(s3)
        number = documented_version(registry, tmp_path, "a")
        for value in range(10):
            registry.set_tag("demo", number, "turn", str(value), who="ann", why="so")
        reader = Registry(s3)
        alone: list[str] = []
        filesystem = fsspec.filesystem("s3")
        read = filesystem.cat_file

        def counted(path: str) -> bytes:
            alone.append(path.removeprefix(s3.removeprefix("s3://")))
            return bytes(read(path))

        monkeypatch.setattr(reader.store, "_filesystem", filesystem)
        monkeypatch.setattr(filesystem, "cat_file", counted)
        assert reader.state("demo") == registry.state("demo")
        # The head, and the end of the log, where there is nothing.
        assert alone == ["/use_cases/demo/head.json", "/use_cases/demo/events/00000014.json"]

    def test_a_mistyped_bucket_is_no_empty_registry(self, s3: str, tmp_path: Path) -> None:
        for url in ("s3://mistyped/registry", f"{s3}/mistyped"):
            with pytest.raises(RegistryError, match="there is no registry here"):
                Registry(url).use_cases()

    def test_an_altered_object_is_named(self, s3: str, tmp_path: Path) -> None:
        registry = Registry(s3)
        number = registry.register("demo", version_files(tmp_path, "a"), who="ann", why="first")
        digest = registry.files("demo", number)["model/model.bst"]["sha256"]
        fsspec.filesystem("s3").pipe_file(f"{s3}/blobs/{digest[:2]}/{digest}", b"other")
        with pytest.raises(RegistryError, match=r"s3://bucket/.*/blobs/.*the blob of model/model\.bst was altered"):
            registry.verify("demo")


class Careless(BaseHTTPRequestHandler):
    """An S3 service that accepts If-None-Match and overwrites all the same, as some clones do."""

    objects: dict[str, Any]
    protocol_version = "HTTP/1.1"  # botocore waits for "100 Continue"

    def do_PUT(self) -> None:
        self.objects[self.path.split("?")[0]] = self.body()
        self.answer(200, b"")

    def do_GET(self) -> None:
        data = self.objects.get(self.path.split("?")[0])
        self.answer(404 if data is None else 200, data or b"<Error><Code>NoSuchKey</Code></Error>")

    def do_DELETE(self) -> None:
        self.objects.pop(self.path.split("?")[0], None)
        self.answer(204, b"")

    def body(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "aws-chunked" or data[:40].count(b";chunk-signature"):
            data = data.split(b"\r\n")[1]
        return data

    def answer(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", '"0"')
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output quiet."""


class Contended(Careless):
    """An S3 service on which another conditional put of the key is under way during the first puts."""

    conflicts = 4

    def do_PUT(self) -> None:
        times = self.objects.setdefault("times", [])
        times.append(time.monotonic())
        if len(times) <= self.conflicts:
            self.body()
            self.answer(409, b"<Error><Code>ConditionalRequestConflict</Code></Error>")
        else:
            super().do_PUT()


class Google(Careless):
    """The part of the Cloud Storage JSON API that gcsfs uses; `keeps` says whether it honours ifGenerationMatch."""

    keeps = True

    def do_POST(self) -> None:
        address = urlsplit(self.path)
        query = parse_qs(address.query)
        name = query["name"][0] if "name" in query else self.multipart_name()
        if self.keeps and query.get("ifGenerationMatch") == ["0"] and name in self.objects:
            self.answer(412, b'{"error":{"code":412,"message":"At least one precondition did not hold."}}')
            return
        self.objects[name] = self.content
        self.answer(200, b'{"name":"x","size":"1"}')

    def multipart_name(self) -> str:
        boundary = self.headers["Content-Type"].split("boundary=")[1].strip("\"'").encode()
        _, described, content, _ = self.body().split(b"--" + boundary)
        import json

        self.content = content.split(b"\n\n", 1)[1].removesuffix(b"\n")
        return str(json.loads(described.split(b"\n\n", 1)[1])["name"])

    def do_GET(self) -> None:
        name = unquote(urlsplit(self.path).path.split("/o/", 1)[-1])
        data = self.objects.get(name)
        self.answer(404 if data is None else 200, data or b'{"error":{"code":404,"message":"not found"}}')

    def do_DELETE(self) -> None:
        self.objects.pop(unquote(urlsplit(self.path).path.split("/o/", 1)[-1]), None)
        self.answer(204, b"")


def serve(handler: type[Careless], keep: bool = False) -> Iterator[str]:
    class Fresh(handler):  # type: ignore[valid-type, misc]
        objects: dict[str, Any] = {}

    Handler = handler if keep else Fresh
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with in_background(server) as url:
        yield url


@pytest.fixture
def careless_s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for url in serve(Careless):
        use_endpoint(monkeypatch, url)
        yield "s3://bucket/registry"


@pytest.fixture(params=[True, False], ids=["keeps the condition", "ignores it"])
def google(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, bool]]:
    class Handler(Google):
        keeps = request.param

    for url in serve(Handler):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        fsspec.get_filesystem_class("gs").clear_instance_cache()
        yield "gs://bucket/registry", request.param


def test_after_a_conflict_a_writer_pauses_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Handler(Contended):
        objects: dict[str, Any] = {}

    for url in serve(Handler, keep=True):
        use_endpoint(monkeypatch, url)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        open_store("s3://bucket/registry").create("a", b"first")
    times = Handler.objects["times"]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(pauses) == Contended.conflicts
    assert all(pause >= 0.025 * 2**attempt for attempt, pause in enumerate(pauses)), pauses


class TestConditionsIgnored:
    def test_an_s3_store_that_overwrites_is_refused_by_name(self, careless_s3: str, tmp_path: Path) -> None:
        with pytest.raises(RegistryError, match="registry s3://bucket/registry: the store has no create-only put"):
            Registry(careless_s3).register("demo", version_files(tmp_path, "a"), who="ann", why="first")
        assert fsspec.filesystem("s3").cat_file  # the server answered: the refusal is not a lost connection

    def test_google_storage(self, google: tuple[str, bool], tmp_path: Path) -> None:
        url, keeps = google
        files = version_files(tmp_path, "a")
        if not keeps:
            with pytest.raises(RegistryError, match="registry gs://bucket/registry: the store has no create-only put"):
                Registry(url).register("demo", files, who="ann", why="first")
            return
        assert Registry(url).register("demo", files, who="ann", why="first") == 1
        assert Registry(url).register("demo", files, who="ann", why="again") == 1
        assert [event.kind for event in Registry(url).log("demo")] == ["policy_set", "registered"]


def test_an_unreachable_store_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_endpoint(monkeypatch, "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(RegistryError, match=r"s3://bucket|127\.0\.0\.1:1"):
        Registry("s3://bucket/registry").register("demo", version_files(tmp_path, "a"), who="ann", why="first")
    assert os.environ["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"


def test_a_pod_keeps_no_registry_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ALMANAC_REGISTRY", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    for url in ("registry", "./models"):
        with pytest.raises(RegistryError, match=r"a path of this pod, .* config map almanac"):
            open_store(url)
    assert open_store(str(tmp_path)).url == str(tmp_path)
    monkeypatch.setenv("ALMANAC_REGISTRY", str(tmp_path / "shared"))
    assert open_store("registry").url == str(tmp_path / "shared")
    with pytest.raises(RegistryError, match="a path of this pod"):
        open_store("./models")
    monkeypatch.setenv("ALMANAC_REGISTRY", "elsewhere")
    with pytest.raises(RegistryError, match="registry elsewhere: a path of this pod"):
        open_store("registry")
