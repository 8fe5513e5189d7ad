"""The fingerprint of a use case's sources: one digest of their present content."""

import os
from pathlib import Path

from almanac.data.cache import Cache
from almanac.data.disk import named_when_full
from almanac.data.fetch import fetch, fingerprint_of
from almanac.data.sources import FetchContext
from almanac.usecase import UseCase


def fingerprint(usecase: UseCase, base: Path) -> str:
    """Return the fingerprint of the sources; those with a declared digest are not fetched.

    The cache is the directory in the environment variable ALMANAC_CACHE, by default .cache.

    Args:
        usecase: the use case.
        base: directory that the paths of file sources are relative to.

    Raises:
        SourceError: a source is unreachable.
    """
    cache = Path(os.environ.get("ALMANAC_CACHE", ".cache"))
    with named_when_full(cache):
        context = FetchContext(base, Cache(cache))
        return fingerprint_of(
            {source.name: source.sha256 or fetch(source, context).sha256 for source in usecase.sources}
        )
