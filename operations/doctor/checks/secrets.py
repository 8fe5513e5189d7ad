"""Secrets: readable only by their owner, and where settings say."""

from collections.abc import Iterator
from pathlib import Path

from almanac.core.errors import AlmanacError
from governance.signing import present_key
from operations.doctor.check import Check, Patient
from operations.doctor.finding import Finding, failed, ok, skipped, warning


def _look(patient: Patient) -> Iterator[Finding]:
    try:
        key = present_key()
    except AlmanacError as error:
        key = None
        yield failed(str(error), "set it to the path of the key, or unset it")
    files = [*([] if key is None else [key]), *patient.keys]
    if not files:
        yield skipped("no file of secrets was given")
    for path in files:
        yield _private(path)


def _private(path: Path) -> Finding:
    try:
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        return failed(f"{path}: {error.strerror}", "write it, or name the right path")
    if mode & 0o077:
        return warning(f"{path}: others can read it (mode {mode:03o})", f"`chmod 600 {path}`")
    return ok(f"{path}: its owner's alone")


KIND = Check("secrets", "Are keys where settings say, and readable by their owner alone?", _look)
