"""Alter a signed run and its registry at random, hash everything anew, and count what `verify` catches; print JSON.

python -m tests.support.governance_tampering --run runs/air_quality/latest --registry registry --changes 500
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from almanac.core.errors import AlmanacError
from almanac.core.files import read_json, sha256_file, write_json
from governance import signing
from governance.registry import Registry
from governance.registry.checkpoint import make_checkpoint
from governance.verify import Request, examine
from tests.support.tampering import CHANGES, Attack

SIGNATURES = ("kept", "own", "removed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--registry", type=Path, required=True)
    parser.add_argument("--key", type=Path, help="the private key that signed; by default the user's")
    parser.add_argument("--changes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=11)
    arguments = parser.parse_args()
    key = arguments.key or signing.signing_key()
    outcome = tampered(arguments.run.resolve(), arguments.registry, key, arguments.changes, arguments.seed)
    print(json.dumps(outcome, indent=1))
    sys.exit(1 if outcome["missed"] else 0)


def tampered(run: Path, registry: Path, key: Path, changes: int, seed: int) -> dict[str, Any]:
    """Make changes one at a time, each to a fresh copy, and return how many a pinned key caught, and by which check.

    Args:
        run: a run that its key signed.
        registry: its registry.
        key: the private key, of which the auditor has the public part, and a checkpoint of the registry.
        changes: number of changes.
        seed: of the random choices.
    """
    chance, started = random.Random(seed), time.perf_counter()
    caught: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        auditor = _auditor(folder, registry, key)
        use_case = str(read_json(run / "run.json")["use_case"])
        signing.generate_key(folder / "eve.pem")
        if fault := _fault(run, registry, auditor):
            raise AlmanacError(f"{run}: does not verify before it is altered: {fault}")
        pristine, kept = _contents(run), _contents(registry)
        for turn in range(changes):
            kind = list(CHANGES)[turn % len(CHANGES)]
            copy, store = folder / "copy", folder / "store"
            for path, source in ((copy, run), (store, registry)):
                shutil.rmtree(path, ignore_errors=True)
                shutil.copytree(source, path)
            attack = Attack(copy, store, use_case, folder / "eve.pem", chance)
            what, signatures = CHANGES[kind](attack), chance.choice(SIGNATURES)
            try:
                attack.settle(signatures)
            # A change may leave nothing that the attacker's own code can render; what it left is verified.
            except (AlmanacError, KeyError, TypeError, ValueError, OSError, AttributeError, StopIteration):
                kinds["left half done"] += 1
            kinds[kind] += 1
            if _contents(copy) == pristine and _contents(store) == kept:
                missed.append(f"{turn}: {kind} of {what} changed nothing, so that there is nothing to catch")
                continue
            fault = _fault(copy, store, auditor)
            caught[fault.partition("|")[0]] += bool(fault)
            if turn % 25 == 0 or not fault:
                print(f"{turn}: {len(missed)} missed", file=sys.stderr, flush=True)
            if not fault:
                missed.append(f"{turn}: {kind} of {what}, signatures {signatures}")
    seconds = round(time.perf_counter() - started, 1)
    total = sum(caught.values())
    return {"changes": changes, "caught": total, "missed": missed, "by": dict(caught.most_common()),
            "kinds": dict(kinds), "seconds": seconds}  # fmt: skip


def _contents(directory: Path) -> dict[str, str]:
    """Return the sha256 of every file, by which a change that changed nothing shows."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): sha256_file(path) for path in files}


def _auditor(folder: Path, registry: Path, key: Path) -> tuple[Path, Path]:
    """Return what an auditor has by another way: the public key, and a checkpoint of the registry."""
    (folder / "team.pub").write_bytes(signing.public_key(key))
    write_json(folder / "checkpoint.json", make_checkpoint(Registry(registry), datetime.now(UTC), key))
    return folder / "team.pub", folder / "checkpoint.json"


def _fault(run: Path, registry: Path, auditor: tuple[Path, Path]) -> str:
    """Return `check|fault` of the first check that fails, "" if all pass."""
    public, checkpoint = auditor
    try:
        for step in examine(Request(run, str(registry), public, checkpoint=checkpoint)):
            if step.fault:
                return f"{step.name}|{step.fault}"
    except AlmanacError as error:
        return f"opening|{error}"
    return ""


if __name__ == "__main__":
    main()
