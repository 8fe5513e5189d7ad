"""Sources of the use cases: found in the mirror or reached."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx

from almanac.data.cache import Cache
from almanac.data.mirror import VARIABLE, from_mirror
from almanac.data.sources.http import HttpSource, without_credentials
from operations.doctor.answers import TIMEOUT_SECONDS, reason
from operations.doctor.check import Check, Patient
from operations.doctor.finding import Finding, failed, ok, skipped


def _look(patient: Patient) -> Iterator[Finding]:
    cases = [subject.usecase for subject in patient.subjects if subject.usecase is not None]
    if not cases:
        yield skipped("no use case was given")
    cache = Cache(Path(os.environ.get("ALMANAC_CACHE", ".cache")))
    for case in cases:
        for source in case.sources:
            name = f"{case.name}: source {source.name}"
            if source.sha256 is not None and from_mirror(source.sha256, cache) is not None:
                yield ok(f"{name}: in {VARIABLE}")
            elif isinstance(source, HttpSource):
                yield _web(name, [mirror.url for mirror in source.mirrors])
            else:
                yield skipped(f"{name}: of kind {source.type}; `almanac check FILE --data` reads it")


def _web(name: str, urls: list[str]) -> Finding:
    reasons = []
    for url in urls:
        try:
            httpx.head(url, timeout=TIMEOUT_SECONDS, follow_redirects=True).raise_for_status()
            return ok(f"{name}: {without_credentials(url)} answers")
        except httpx.HTTPError as error:
            reasons.append(f"{without_credentials(url)}: {reason(error)}")
    return failed(f"{name}: {'; '.join(reasons)}", f"open the network, or put the file into {VARIABLE}")


KIND = Check("sources", "Are the sources reached?", _look)
