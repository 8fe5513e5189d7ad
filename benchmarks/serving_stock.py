"""The environment of KServe's server: its own, so that no version of ours slows it down.

KServe's LightGBM runtime, lgbserver, is published as a container image and in KServe's repository, and not on PyPI. Its
server is: `kserve.ModelServer` with a model that calls `Booster.predict`, which `benchmarks.serving_peers` has.
"""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from almanac.core.errors import ServingError

_PLACE = Path(__file__).resolve().parents[1] / ".cache" / "benchmarks" / "kserve"
#: What the environment needs beside what kserve asks for.
_PACKAGES = ("kserve", "lightgbm")


def stock_python(given: str | None) -> tuple[str, dict[str, Any]]:
    """Return the Python that has KServe's server, and a description of its environment.

    Args:
        given: the Python to take; None to make an environment once, or to take this one where none can be made.

    Raises:
        ServingError: this environment has no release of a package that could be taken as the one to measure.
    """
    if given is not None:
        return given, {"python": "given", "versions": _versions(given)}
    python = _PLACE / "bin" / "python"
    try:
        wanted = [f"{name}=={version(name)}" for name in _PACKAGES]
    except PackageNotFoundError as error:
        raise ServingError(
            f"{error.name} is not installed, whose version is measured; `make bench-serving` installs what it needs"
        ) from None
    stamp = _PLACE / "installed.txt"
    if not stamp.exists() or stamp.read_text().split() != wanted:
        print(f"making an environment with {' and '.join(wanted)}, once", file=sys.stderr)
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(_PLACE)], check=True, capture_output=True)
            install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted]
            subprocess.run(install, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1]
            print(f"no environment for KServe could be made ({reason}); this one is taken", file=sys.stderr)
            return sys.executable, {"python": "this environment", "versions": _versions(sys.executable)}
        stamp.write_text("\n".join(wanted))
    return str(python), {"python": "its own environment", "versions": _versions(str(python))}


def _versions(python: str) -> dict[str, str]:
    names = (*_PACKAGES, "uvicorn", "uvloop", "numpy")
    program = "import importlib.metadata as m, sys\nfor n in sys.argv[1:]:\n  print(n, m.version(n))"
    lines = subprocess.run([python, "-c", program, *names], capture_output=True, text=True, check=False).stdout
    return dict(line.split() for line in lines.splitlines())
