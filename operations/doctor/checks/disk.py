"""Free space where Almanac writes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from operations.doctor.check import Check, Patient
from operations.doctor.finding import Finding, failed, ok, warning

_FEWEST_BYTES, _LEAST_SHARE = 2 << 30, 0.1


def _look(patient: Patient) -> Iterator[Finding]:
    named = {"runs": patient.runs, "the working directory": Path()}
    if "://" not in patient.registry:
        named["the registry"] = Path(patient.registry)
    seen: set[int] = set()
    for name, path in named.items():
        folder = next(each for each in (path.absolute(), *path.absolute().parents) if each.is_dir())
        # One file system is one finding.
        if (device := folder.stat().st_dev) in seen:
            continue
        seen.add(device)
        usage = shutil.disk_usage(folder)
        fact = f"{folder} ({name}): {usage.free / 2**30:.1f} of {usage.total / 2**30:.0f} GiB are free"
        if usage.free < _FEWEST_BYTES:
            yield failed(fact, "free or add space; a run of the reference use case takes 26 MB")
        elif usage.free < _LEAST_SHARE * usage.total:
            yield warning(fact, "free or add space before a tenth is reached")
        else:
            yield ok(fact)


KIND = Check("disk", "Is there space where runs, registry and logs are written?", _look)
