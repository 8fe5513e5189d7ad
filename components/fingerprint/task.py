"""Entry point of the fingerprint component."""

import os
from pathlib import Path

from almanac.core.progress import summary
from almanac.data.cache import Cache
from almanac.data.disk import named_when_full
from almanac.data.fetch import fetch, fingerprint_of
from almanac.data.sources import FetchContext
from almanac.usecase import load_text
from almanac.usecase.views import reads


def run(usecase: str, base: Path) -> str:
    """Return the fingerprint of the sources; those with a declared digest are not fetched.

    Raises:
        SourceError: a source is unreachable.
    """
    case = reads(load_text(usecase, "usecase"), "fingerprint")
    cache = Path(os.environ.get("ALMANAC_CACHE", ".cache"))
    with named_when_full(cache):
        context = FetchContext(base, Cache(cache))
        digests = {source.name: source.sha256 or fetch(source, context).sha256 for source in case.sources}
    summary(f"{len(digests)} source{'s' * (len(digests) != 1)}")
    return fingerprint_of(digests)
