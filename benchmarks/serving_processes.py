"""Servers to measure, each in a process of its own on a free port."""

import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from almanac.core.errors import ServingError

_ROOT = Path(__file__).resolve().parents[1]
_LAST_LINES = 15
_START_SECONDS = 120.0


@dataclass(frozen=True)
class Peer:
    """A server to measure.

    Attributes:
        name: as the report calls it.
        command: starts it; `{port}` is a free port.
        path: where it predicts.
        form: what it takes: rows by name, ordered lists, or one V2 tensor.
        headers: headers of each request.
    """

    name: str
    command: list[str]
    path: str
    form: Literal["named", "ordered", "v2"]
    headers: dict[str, str]


@dataclass(frozen=True)
class Running:
    """A running server: process id, address, and the seconds to its first answer."""

    pid: int
    url: str
    cold_start: float


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def running(peer: Peer, body: bytes, core: str) -> Iterator[Running]:
    """Start a server on a core, and end it with the block.

    Raises:
        ServingError: it does not answer; the message has its last words.
    """
    port, start = free_port(), time.perf_counter()
    command = [part.replace("{port}", str(port)) for part in peer.command]
    # A file and no pipe: nobody would read a pipe while the load runs, and a full one stops a server.
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            ["taskset", "-c", core, *command], stdout=output, stderr=subprocess.STDOUT, cwd=_ROOT
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _await_answer(peer, url, body, process, start)
            yield Running(process.pid, url, time.perf_counter() - start)
        except ServingError as error:
            raise ServingError(f"{error}; {last_words(output)}") from error
        finally:
            end(process)


def last_words(output: TextIO) -> str:
    """Return the last lines that a server wrote."""
    output.seek(0)
    return "its last words:\n" + ("".join(output.readlines()[-_LAST_LINES:]) or "none")


def end(process: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    """End a process, by force if it does not by itself."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await_answer(peer: Peer, url: str, body: bytes, process: "subprocess.Popen[bytes]", start: float) -> None:
    headers = {**peer.headers, "content-type": "application/json"}
    reason = "nothing answers"
    while time.perf_counter() - start < _START_SECONDS:
        if process.poll() is not None:
            raise ServingError(f"{peer.name} ended with code {process.returncode} before it answered")
        request = urllib.request.Request(f"{url}{peer.path}", data=body, headers=headers)
        try:
            urllib.request.urlopen(request, timeout=5).close()
            return
        except urllib.error.HTTPError as error:
            with error:
                reason = f"{error.code} {error.read()[:300].decode(errors='replace')}"
        except OSError as error:
            reason = str(error)
        time.sleep(0.005)
    raise ServingError(f"{peer.name} did not answer within {_START_SECONDS:g} s: {reason}")
