"""Fetching the bytes of a source, with fallbacks and a check of the declared digest."""

from collections.abc import Mapping

from almanac.core.errors import SourceError
from almanac.core.files import canonical_json, sha256_bytes
from almanac.data.cache import Content
from almanac.data.mirror import from_mirror
from almanac.data.sources import FetchContext
from almanac.usecase.data_section import SOURCES, Source


def fetch(source: Source, context: FetchContext) -> Content:
    """Return the bytes of a source; those with a declared digest come from the mirror or the cache if it holds them.

    The mirror is the directory that ALMANAC_MIRROR names, see `almanac.data.mirror`.

    Raises:
        SourceError: every attempt failed or gave other bytes than declared; each is listed with its reason.
    """
    if source.sha256 is not None:
        held = from_mirror(source.sha256, context.cache) or context.cache.get(source.sha256)
        if held is not None:
            return held
    failures = []
    for attempt in SOURCES[source.type].attempts(source, context):
        try:
            return _checked(source, attempt())
        except SourceError as error:
            failures.append(f"  {error}")
    raise SourceError("\n".join([f"sources.{source.name}: no place gave the file:", *failures]))


def fingerprint_of(digests: Mapping[str, str]) -> str:
    """Return one digest of the sha256 of all sources, by their names."""
    return sha256_bytes(canonical_json(dict(digests)))


def _checked(source: Source, content: Content) -> Content:
    if source.sha256 is not None and content.sha256 != source.sha256:
        raise SourceError(
            f"{content.location}: has sha256 {content.sha256}, not the declared {source.sha256}; "
            f"if the change is wanted, write the new digest in sources.{source.name}.sha256"
        )
    return content
