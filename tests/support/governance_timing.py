"""Measure a run's documents, their verification and the registry's poll; print JSON. Needs a run with documents.

python -m tests.support.governance_timing runs/air_quality/latest
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from almanac.core.files import read_json
from governance.documents.artifacts import run_files
from governance.documents.bundle import write_documents
from governance.registry import Registry
from tests.support.bundles import documented_version


def main() -> None:
    run = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(json.dumps({**documents(run, folder), **verification(run), **poll(folder)}, indent=2))


def documents(run: Path, folder: Path) -> dict[str, float]:
    """Time the documents, imports of plotting included in the first."""
    usecase, told = (run / "governance" / "usecase.json").read_text(), read_json(run / "registration.json")
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        write_documents(run_files(run), usecase, told, folder / "governance")
        seconds.append(time.perf_counter() - started)
    return {"documents_first_s": round(seconds[0], 2), "documents_again_s": round(min(seconds[1:]), 2)}


def verification(run: Path) -> dict[str, float]:
    """Time `verify` as a process of its own, and its steps."""
    command = [sys.executable, "-m", "governance", "verify", str(run), "--json"]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    whole = time.perf_counter() - started
    steps = {step["name"]: step["seconds"] for step in json.loads(done.stdout)["steps"]}
    return {
        "verify_process_s": round(whole, 2),
        "verify_hashing_s": round(steps["hashes"], 3),
        "verify_beyond_hashing_s": round(sum(steps.values()) - steps["hashes"], 2),
    }


def poll(folder: Path) -> dict[str, float]:
    """Time a server's look at the production version when nothing is new."""
    registry = Registry(folder / "registry")
    registry.promote("demo", documented_version(registry, folder, "a"), who="ann", why="go")
    started = time.perf_counter()
    for _ in range(1000):
        registry.current("demo")
    return {"poll_us": round((time.perf_counter() - started) * 1e3, 1)}


if __name__ == "__main__":
    main()
