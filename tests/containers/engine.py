"""The Docker engine that the tests of this folder use, and a container of the model server."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.support.server import ServerProcess, free_port

#: The distribution's client first: a newer bare one may lack a builder.
DOCKER = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"


def engine_answers() -> bool:
    """Tell whether a Docker engine answers."""
    if shutil.which(DOCKER) is None:
        return False
    return subprocess.run([DOCKER, "info"], capture_output=True, check=False).returncode == 0


def docker(*arguments: str) -> str:
    """Return what a docker command prints."""
    done = subprocess.run([DOCKER, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def inspect(name: str) -> dict[str, Any]:
    """Return what the engine knows of a container or an image."""
    (known,) = json.loads(docker("inspect", name))
    return dict(known)


class ServerContainer(ServerProcess):
    """The model server in a container: read-only, without capabilities, with limits on memory and processors."""

    def __init__(self, image: str, model: Path, *arguments: str) -> None:
        self.port = free_port()
        self.name = docker(
            "run", "--detach", "--network", "host", "--read-only", "--tmpfs", "/tmp",
            "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "512m", "--cpus", "1",
            "--volume", f"{model}:/model:ro", image,
            "--model", "/model", "--host", "127.0.0.1", "--http-port", str(self.port), *arguments,
        )  # fmt: skip

    def wait(self, seconds: float = 60.0) -> "ServerContainer":
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert inspect(self.name)["State"]["Running"], docker("logs", self.name)
            try:
                if self.get("/healthz").status == 200:
                    return self
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the server did not become ready")

    def terminate(self) -> None:
        """Send SIGTERM, as Kubernetes does."""
        docker("kill", "--signal", "TERM", self.name)

    def exit_code(self, seconds: float = 20.0) -> int:
        """Wait for the end and return the exit code."""
        done = subprocess.run([DOCKER, "wait", self.name], capture_output=True, text=True, check=True, timeout=seconds)
        return int(done.stdout)

    def stop(self) -> str:
        docker("rm", "--force", self.name)
        return ""
