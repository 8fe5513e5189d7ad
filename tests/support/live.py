"""Programs in processes of their own, for the tests that hold the configuration against them."""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from monitoring.metrics import ALL

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "monitoring" / "rules"
T = TypeVar("T")


def program(name: str) -> str:
    """Return the path of a program in `.tools`, which `.ci/run` fills, or in PATH; its name where it is missing."""
    return shutil.which(name, path=os.pathsep.join((str(ROOT / ".tools"), os.environ.get("PATH", "")))) or name


def needs(*names: str) -> pytest.MarkDecorator:
    """Skip by name where a program is missing, but never in CI."""
    missing = [name for name in names if program(name) == name]
    skipped = bool(missing) and os.environ.get("CI") != "true"
    return pytest.mark.skipif(skipped, reason=f"{' and '.join(missing)} is not installed")


def read_yaml(path: Path) -> Any:
    """The document in a YAML file."""
    return yaml.safe_load(path.read_text())


def series_names() -> set[str]:
    """The names of all exported series."""
    return {name for metric in ALL for name in metric.series}


def alerts() -> dict[str, dict[str, Any]]:
    """Every alert rule by name."""
    groups = [group for path in sorted(RULES.glob("*.yaml")) for group in read_yaml(path)["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def recordings() -> dict[str, str]:
    """Every recording rule: its name and expression."""
    groups = read_yaml(RULES / "recording.yaml")["groups"]
    return {rule["record"]: rule["expr"] for group in groups for rule in group["rules"]}


def wait_for(what: Callable[[], T | None], seconds: float = 20.0) -> T:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not in {seconds:g} s"
        time.sleep(0.1)
    return found


def get_json(url: str) -> Any:
    """The JSON at a URL, None while nothing listens there."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return None
    except OSError:
        return None


@contextmanager
def running(command: list[str], log: Path, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is ended with the block; its output goes to a file."""
    with open(log, "wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, cwd=cwd)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def prometheus_command(config: Path, storage: Path, port: int) -> list[str]:
    """How Prometheus is started on loopback."""
    options = {"config.file": config, "storage.tsdb.path": storage, "web.listen-address": f"127.0.0.1:{port}"}
    return ["prometheus", *(f"--{name}={value}" for name, value in options.items()), "--log.level=warn"]


def query(port: int, expression: str) -> list[dict[str, Any]]:
    """The result of an instant query.

    Raises:
        AssertionError: Prometheus refuses the query.
    """
    text = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{text}", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found
    except urllib.error.HTTPError as error:
        with error:
            raise AssertionError(f"{expression}: {error.read().decode()}") from error
