"""Kill writers of one registry at random moments, then promote from many at once; print what is left as JSON.

python -m tests.support.governance_faults --kills 1000 --processes 32
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from almanac.core.errors import RegistryError
from governance.registry import Registry
from tests.support.bundles import document_files, version_files

ALIVE = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=32)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        kills = killed_writers(folder, arguments.kills)
        crowd = crowd_of_promoters(folder, arguments.processes)
        outcome = {**kills, **crowd, **audit(folder), "seconds": round(time.perf_counter() - started, 1)}
    print(json.dumps(outcome))
    sys.exit(0 if outcome["lost"] == outcome["doubled"] == 0 and outcome["stages_verified"] else 1)


def killed_writers(folder: Path, kills: int) -> dict[str, int]:
    """Keep ALIVE writers at work, killing each at a random moment, until `kills` have died by SIGKILL."""
    registry = Registry(folder / "registry")
    alive: list[tuple[int, float]] = []
    started = dead = 0
    turn = seconds_of_a_turn(registry, folder)
    while dead < kills:
        registry.state("demo")  # children inherit the fold, so that their time goes into writing
        while len(alive) < ALIVE:
            alive.append((spawn(partial(write_forever, registry, folder, started)), _moment(turn)))
            started += 1
        pid, when = min(alive, key=lambda entry: entry[1])
        time.sleep(max(0.0, when - time.monotonic()))
        os.kill(pid, signal.SIGKILL)
        dead += os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
        alive.remove((pid, when))
    for pid, _ in alive:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return {"kills": dead, "events_after_kills": len(registry.state("demo").digests)}


def seconds_of_a_turn(registry: Registry, folder: Path) -> float:
    """Return how long a writer takes for one version on this machine, while as many write as later on."""
    # In this process first: its children inherit what it has imported.
    write_forever(registry, folder, "first", 1)
    began = time.monotonic()
    for pid in [spawn(partial(write_forever, registry, folder, f"measured-{index}", 1)) for index in range(ALIVE)]:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return time.monotonic() - began


def write_forever(registry: Registry, folder: Path, mark: int | str, turns: int = 1_000_000) -> None:
    """Register, document and promote versions until killed, noting each acknowledged step in the journal."""
    for turn in range(turns):
        name = f"{mark}-{turn}"
        files = version_files(folder / "runs", name)
        number = registry.register("demo", files, who="ann", why=f"register {name}", approval="none")
        note(folder, f"register {name}")
        documents = document_files(folder / "runs" / name, files)
        registry.attach_documents("demo", number, documents, who="ann", why=f"document {name}")
        note(folder, f"document {name}")
        registry.promote("demo", number, who="ann", why=f"promote {name}")
        note(folder, f"promote {name}")


def crowd_of_promoters(folder: Path, processes: int) -> dict[str, Any]:
    """Let every process promote a version of its own at the same moment."""
    registry = Registry(folder / "registry")
    numbers = []
    for index in range(processes):
        files = version_files(folder / "runs", f"crowd-{index}")
        number = registry.register("demo", files, who="ann", why=f"register crowd-{index}", approval="none")
        documents = document_files(folder / "runs" / f"crowd-{index}", files)
        registry.attach_documents("demo", number, documents, who="ann", why=f"document crowd-{index}")
        numbers.append(number)
    start = time.monotonic() + 1.0

    def promote(index: int) -> None:
        time.sleep(max(0.0, start - time.monotonic()))
        registry.promote("demo", numbers[index], who="ann", why=f"promote crowd-{index}")
        note(folder, f"promote crowd-{index}")

    children = [spawn(partial(promote, index)) for index in range(processes)]
    failed = sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0 for pid in children)
    return {"promoters": processes, "promoters_failed": failed}


def audit(folder: Path) -> dict[str, Any]:
    """Read everything again from nothing: acknowledged steps against events, the chain, every byte of every version."""
    registry = Registry(folder / "registry")
    reasons = Counter(event.why for event in registry.log("demo"))
    acknowledged = (folder / "journal").read_text().splitlines()
    try:
        state = registry.verify("demo")
        verified, broken = bool(state.stages()), ""
    except RegistryError as error:
        verified, broken = False, str(error)
    return {
        "acknowledged": len(acknowledged),
        "events": sum(reasons.values()),
        "lost": sum(reasons[reason] == 0 for reason in acknowledged),
        "doubled": sum(count > 1 for count in reasons.values()),
        "stages_verified": verified,
        "broken": broken,
    }


def note(folder: Path, line: str) -> None:
    """Append a line to the journal in one write, which a kill cannot undo."""
    handle = os.open(folder / "journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{line}\n".encode())
    os.close(handle)


def spawn(work: Callable[[], None]) -> int:
    """Fork a child that does `work`, and return its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        os._exit(1)


def _moment(turn: float) -> float:
    # From the first bytes to the second version: on a busy machine, fixed times would kill before anything is written.
    return time.monotonic() + random.uniform(0.02, 1.6) * turn


if __name__ == "__main__":
    main()
