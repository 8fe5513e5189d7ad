"""Commands against the cluster of KUBECONFIG, and requests to a service on it."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from serving.deploy.apply import connect
from serving.deploy.kube import Kube
from serving.deploy.reach import client_key, through_the_api

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str, text: str | None = None, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a command from the project's root; the caller looks at its exit code."""
    environment = os.environ | variables
    return subprocess.run(
        list(arguments), cwd=ROOT, env=environment, input=text, capture_output=True, text=True, check=False
    )


def kubectl(*arguments: str, text: str | None = None) -> str:
    """Return what kubectl prints."""
    done = command("kubectl", *arguments, text=text)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def get(*arguments: str) -> Any:
    """Return objects of the cluster as JSON."""
    return json.loads(kubectl("get", *arguments, "-o", "json"))


def make(target: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a target of the Makefile in this environment."""
    given = [f"{name}={value}" for name, value in variables.items()]
    path = f"{ROOT / '.tools'}{os.pathsep}{os.environ['PATH']}"
    return command("make", "-s", "-o", ".venv/.components", target, *given, PATH=path)


def almanac(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of `almanac`."""
    return command(sys.executable, "pipeline.py", *arguments, **variables)


@dataclass
class Load:
    """Requests without a pause to a service, while something happens to it; use it as a context manager."""

    namespace: str
    name: str
    path: str
    body: dict[str, Any]
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)

    def __enter__(self) -> "Load":
        api = connect()
        service = {"metadata": {"name": self.name, "namespace": self.namespace}}
        key = client_key(Kube(api), self.namespace) or ""
        self._client = httpx.Client(
            base_url="http://service", headers={"x-api-key": key}, transport=through_the_api(api, service)
        )
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                answer = self._client.post(self.path, json=self.body)
                if answer.status_code == httpx.codes.OK:
                    self.answered += 1
                    self.versions.add(answer.json()["model_version"])
                else:
                    self.failed.append(f"{answer.status_code} {answer.text[:200]}")
            except httpx.HTTPError as error:
                self.failed.append(str(error))
            self._end.wait(0.02)


def wait_for(what: str, holds: Any, seconds: float = 60.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:g} s"
        time.sleep(0.3)
