"""A console in a process of its own, and people who log in."""

import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette

from operations.console.room import Room
from tests.support.operations_world import World
from tests.support.server import ROOT


class ConsoleProcess:
    """A console on a free port of loopback, over a world."""

    def __init__(self, world: World, folder: Path, *options: str) -> None:
        command = [sys.executable, str(ROOT / "pipeline.py"), "console", "--port", "0"]
        command += ["--registry", world.registry, "--runs", str(world.runs), "--log", world.log]
        command += ["--history", f"sqlite:///{folder}/history.db", "--audit", str(folder / "audit.jsonl"), *options]
        environment = {**os.environ, "ALMANAC_ACTOR": "olga"}
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
        self.address = self._line(r"console on (\S+)")
        self.link = "" if "--keys" in options else self._line(r"log in by (\S+)")

    def _line(self, pattern: str) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.match(pattern, line)
        assert found, line
        return found[1]

    def healthy(self) -> bool:
        """Return whether `GET /healthz` answers 200."""
        with urllib.request.urlopen(f"{self.address}/healthz") as answer:
            return bool(answer.status == 200)

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.communicate()


class Client(httpx.Client):
    """A client of a console in this process, with the keys of its users by role."""

    def __init__(self, address: str, room: Room, given: Mapping[str, str]) -> None:
        super().__init__(base_url=address, follow_redirects=True)
        self.room, self.given = room, given


@contextmanager
def serving(app: Starlette, given: Mapping[str, str], port: int = 0) -> Iterator[Client]:
    """Serve a console on a port of loopback, a free one unless it is given, and yield a client."""
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    taken = server.servers[0].sockets[0].getsockname()[1]
    try:
        with Client(f"http://127.0.0.1:{taken}", app.state.room, given) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
