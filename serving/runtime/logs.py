"""Structured logs: JSON lines on standard error for events and requests, and the audit log."""

import logging
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec

from almanac.core.errors import ServingError
from monitoring.metrics import Metrics
from serving.runtime.http import Observe, Reply, Request
from serving.runtime.line_file import StandardError
from serving.runtime.line_writer import LineWriter, LogState

_ENCODER = msgspec.json.Encoder()


class _Handler(logging.Handler):
    """Handler that passes records to the writer's thread."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        line: dict[str, Any] = {"level": record.levelname.lower(), "logger": record.name, "event": record.getMessage()}
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = "".join(traceback.format_exception(record.exc_info[1]))
        self._writer.put((record.created, line))


def _dated(item: tuple[float, dict[str, Any]]) -> bytes:
    return _ENCODER.encode({"time": datetime.fromtimestamp(item[0], UTC).isoformat(timespec="milliseconds"), **item[1]})


def configure_logs(metrics: Metrics) -> LineWriter:
    """Send the log records of this process to standard error, and return their writer."""
    # A text stream would keep what it could not write, and raise again at every flush.
    writer = LineWriter(StandardError(), _dated, LogState("log", metrics))
    root = logging.getLogger()
    # In place of all others, so that every line on standard error is JSON.
    root.handlers = [_Handler(writer)]
    root.setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).setLevel(logging.WARNING)
    return writer


def access_log(writer: LineWriter, which: Literal["all", "errors"]) -> Observe:
    """Return the observer that logs every request, or only those that were answered with an error."""

    def observe(request: Request, reply: Reply, protocol: str, seconds: float) -> None:
        if which == "all" or reply.status >= 400:
            line = {
                "level": "error" if reply.status >= 500 else "info", "logger": "almanac.access", "event": "request",
                "id": request.id, "method": request.method, "path": request.path[:200], "status": reply.status,
                "milliseconds": round(seconds * 1000, 3), "who": request.who or request.client,
                "version": request.answered_by, "protocol": protocol,
            }  # fmt: skip
            writer.put((time.time(), line))

    return observe


def audit_log(path: Path, metrics: Metrics, identify: Callable[[str], str]) -> tuple[LineWriter, Observe]:
    """Return the writer of the audit log, and the observer that appends a line for each request.

    The log holds the sha256 of payloads, not the payloads; it is computed in the writer's thread.

    Args:
        path: the file.
        metrics: the metrics of lost lines.
        identify: returns the id of a right key, and "" for a wrong one; for requests that were answered before anybody
            looked at their key, such as one for an unknown path.

    Raises:
        ServingError: the file cannot be opened.
    """
    try:
        writer = LineWriter(path, _AuditLines(identify).render, LogState("audit", metrics))
    except OSError as error:
        raise ServingError(f"--audit-log {path}: cannot be written ({error.strerror})") from error

    def observe(request: Request, reply: Reply, protocol: str, seconds: float) -> None:
        if request.verb not in ("live", "health", "ready", "metrics"):
            item = (time.time(), request, reply.status, reply.body, protocol)
            writer.put(item, len(request.body) + len(reply.body))

    return writer, observe


#: Fields of a line that most requests of a client share.
_SHARED = ("who", "client", "protocol", "verb", "use_case", "model", "version")
_MOST_SHARED = 1024


class _Clock:
    """Times in ISO 8601 with microseconds; the part down to the second is rendered once a second."""

    def __init__(self) -> None:
        self._second, self._text = -1, ""

    def text(self, at: float) -> str:
        """Return the time, in UTC."""
        micros = round(at * 1e6)
        second, rest = divmod(micros, 1_000_000)
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._text}.{rest:06}+00:00"


class _AuditLines:
    """Renders the lines of the audit log; the part that many requests have in common is encoded once.

    Args:
        identify: returns the id of a key.
    """

    def __init__(self, identify: Callable[[str], str]) -> None:
        self._identify = identify
        self._clock = _Clock()
        self._shared: dict[tuple[str, ...], str] = {}

    def render(self, item: tuple[float, Request, int, bytes, str]) -> bytes:
        """Return the line of a request with its answer, as JSON."""
        at, request, status, answer, protocol = item
        who = request.who or (self._identify(request.key) if request.key is not None else "") or request.client
        key = (who, request.client, protocol, request.verb, request.use_case, request.model, request.answered_by)
        shared = self._shared.get(key)
        if shared is None:
            # Cleared as a whole: clients that are all different gain nothing from it anyway.
            if len(self._shared) >= _MOST_SHARED:
                self._shared.clear()
            shared = self._shared[key] = _ENCODER.encode(dict(zip(_SHARED, key, strict=True)))[1:-1].decode()
        requested, answered = sha256(request.body).hexdigest(), sha256(answer).hexdigest()
        line = (
            f'{{"time":"{self._clock.text(at)}",{shared},"request_id":{_ENCODER.encode(request.id).decode()},'
            f'"status":{status},"request_sha256":"{requested}","answer_sha256":"{answered}"}}'
        )
        return line.encode()
