"""A web server on loopback that fails on demand."""

import threading
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.support.background import in_background


@dataclass
class Page:
    """What a path answers.

    Attributes:
        body: The whole file.
        fail: Status codes to answer first, one a request.
        cut: Bytes after which the connection is closed, one a request.
        etag: Entity tag; without one the answer has a Last-Modified.
        validators: Whether the answer has any of them.
        pause: Seconds between two kilobytes.
        kind: Media type.
    """

    body: bytes
    fail: list[int] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    etag: str | None = '"v1"'
    validators: bool = True
    pause: float = 0.0
    kind: str = "application/octet-stream"


class Web:
    """A running server; `asked` lists (path, Range) of every request."""

    def __init__(self, pages: dict[str, Page]) -> None:
        self.pages = pages
        self.asked: list[tuple[str, str | None]] = []
        self.sent = 0
        self.stopping = threading.Event()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._running = in_background(self._server)

    def __enter__(self) -> Self:
        self._running.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._running.__exit__(kind, error, trace)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append((request.path, wanted))
        page = self.pages.get(request.path)
        if page is None or page.fail:
            request.send_error(404 if page is None else page.fail.pop(0))
            return
        mark = page.etag or formatdate(0, usegmt=True)
        if page.validators and mark in (request.headers.get("If-None-Match"), request.headers.get("If-Modified-Since")):
            request.send_response(304)
            request.end_headers()
            return
        start = 0
        if wanted and request.headers.get("If-Range") == mark:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(page.body) - 1}/{len(page.body)}")
        if page.validators:
            request.send_header("ETag" if page.etag else "Last-Modified", mark)
        request.send_header("Content-Type", page.kind)
        request.send_header("Content-Length", str(len(page.body) - start))
        request.end_headers()
        self._send(request, page, start)

    def _send(self, request: BaseHTTPRequestHandler, page: Page, start: int) -> None:
        end = min(len(page.body), page.cut.pop(0)) if page.cut else len(page.body)
        step = 1024 if page.pause else max(end - start, 1)
        try:
            for at in range(start, end, step):
                piece = page.body[at : min(at + step, end)]
                request.wfile.write(piece)
                self.sent += len(piece)
                if page.pause and self.stopping.wait(page.pause):
                    return
        except (BrokenPipeError, ConnectionResetError):
            return
        if end < len(page.body):
            request.close_connection = True
