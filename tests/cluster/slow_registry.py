"""A registry of images that takes its time over one layer, as a slow line does."""

import hashlib
import io
import json
import secrets
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

#: Docker's own media types, which every runtime takes.
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_PIECES = 200


class SlowRegistry:
    """Serves an image with one layer more, which arrives evenly over so many seconds; use it as a context manager.

    A runtime asks a registry on 127.0.0.1 without TLS.

    Args:
        archive: what `docker save` wrote of the image.
        seconds: duration of the layer's transfer.
    """

    def __init__(self, archive: Path, seconds: float) -> None:
        self._archive, self._seconds = archive, seconds
        #: Where each layer lies in the archive: offset and size.
        self._places: dict[str, tuple[int, int]] = {}
        self._slow_layer, self._config, self._manifest = self._made()
        self._slow = _digest(self._slow_layer)
        #: Seconds that the slow layer's transfer took; None before it has ended.
        self.transfer: float | None = None

    @property
    def image(self) -> str:
        """Name of the image."""
        return f"127.0.0.1:{self._server.server_port}/almanac/serving:slow"

    def __enter__(self) -> "SlowRegistry":
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                registry._answer(self, body=False)

            def do_GET(self) -> None:
                registry._answer(self, body=True)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _made(self) -> tuple[bytes, bytes, bytes]:
        """Return the slow layer, and the image's configuration and manifest with it."""
        with tarfile.open(self._archive) as saved:
            (entry,) = json.load(_member(saved, "manifest.json"))
            config = json.load(_member(saved, entry["Config"]))
            digests = list(config["rootfs"]["diff_ids"])
            for digest, name in zip(digests, entry["Layers"], strict=True):
                member = _resolved(saved, name)
                self._places[digest] = (member.offset_data, member.size)
        layer = _tar("opt/arrived-late", secrets.token_bytes(256_000))
        config["rootfs"]["diff_ids"] = [*digests, _digest(layer)]
        config["history"] = [*config.get("history", []), {"created_by": "a slow layer"}]
        packed = json.dumps(config).encode()
        sizes = {**{digest: size for digest, (_, size) in self._places.items()}, _digest(layer): len(layer)}
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "size": len(packed), "digest": _digest(packed)},
            "layers": [{"mediaType": _LAYER, "size": sizes[one], "digest": one} for one in (*digests, _digest(layer))],
        }
        return layer, packed, json.dumps(manifest).encode()

    def _answer(self, handler: BaseHTTPRequestHandler, body: bool) -> None:
        *_, kind, name = handler.path.rstrip("/").split("/")
        if kind == "manifests":
            self._send(handler, _MANIFEST, self._manifest, body)
        elif name == _digest(self._config):
            self._send(handler, _CONFIG, self._config, body)
        elif name == self._slow:
            self._dribble(handler, body)
        elif name in self._places:
            self._copy(handler, name, body)
        else:
            handler.send_response(200 if name == "v2" else 404)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

    def _send(self, handler: BaseHTTPRequestHandler, kind: str, data: bytes, body: bool) -> None:
        _head(handler, kind, len(data), _digest(data))
        if body:
            handler.wfile.write(data)

    def _dribble(self, handler: BaseHTTPRequestHandler, body: bool) -> None:
        _head(handler, _LAYER, len(self._slow_layer), self._slow)
        if not body:
            return
        begun = time.monotonic()
        step = -(-len(self._slow_layer) // _PIECES)
        for start in range(0, len(self._slow_layer), step):
            time.sleep(self._seconds / _PIECES)
            handler.wfile.write(self._slow_layer[start : start + step])
            handler.wfile.flush()
        self.transfer = time.monotonic() - begun

    def _copy(self, handler: BaseHTTPRequestHandler, digest: str, body: bool) -> None:
        offset, size = self._places[digest]
        _head(handler, _LAYER, size, digest)
        with self._archive.open("rb") as stream:
            stream.seek(offset)
            while body and size:
                piece = stream.read(min(size, 1 << 20))
                handler.wfile.write(piece)
                size -= len(piece)


def _head(handler: BaseHTTPRequestHandler, kind: str, size: int, digest: str) -> None:
    handler.send_response(200)
    for name, value in (("Content-Type", kind), ("Content-Length", str(size)), ("Docker-Content-Digest", digest)):
        handler.send_header(name, value)
    handler.end_headers()


def _resolved(saved: tarfile.TarFile, name: str) -> tarfile.TarInfo:
    """Return the entry of a layer; an archive holds a layer that two images share once, and a link to it."""
    member = saved.getmember(name)
    while member.issym():
        member = saved.getmember(str((Path("/") / Path(name).parent / member.linkname).resolve())[1:])
    return member


def _member(saved: tarfile.TarFile, name: str) -> Any:
    found = saved.extractfile(name)
    assert found is not None, name
    return found


def _tar(name: str, data: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
