"""What a running server follows: promotions in the registry, changes of the key file, the other workers' repository."""

import asyncio
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from almanac.core.errors import AlmanacError
from almanac.core.files import read_json, write_json
from monitoring.metrics import MODEL_SWAPS, Metrics
from serving.prediction.repository import Repository
from serving.prediction.source import Source
from serving.security.guard import Guard
from serving.security.keys import load_keys

_LOG = logging.getLogger("almanac.serving")
_KEYS_SECONDS = 0.5
_RETRY_SECONDS = 5.0


async def follow_promotions(repository: Repository, source: Source, seconds: float, metrics: Metrics) -> None:
    """Load each newly promoted version beside the running one, then swap; a version that fails changes nothing."""
    loop = asyncio.get_running_loop()
    while source.follows_promotions:
        await asyncio.sleep(seconds)
        try:
            current = await loop.run_in_executor(None, source.current)
            if current != repository.traffic.primary.version:
                await _take_newest(repository, metrics)
        except Exception as error:  # whatever it is, the next promotion must not go unseen
            _count_failed(metrics, error, "the promoted version was not taken")


async def _take_newest(repository: Repository, metrics: Metrics) -> None:
    bundle = await asyncio.get_running_loop().run_in_executor(None, repository.newest)
    if bundle.digest == repository.traffic.primary.digest and bundle.version == repository.traffic.primary.version:
        return
    _LOG.info("version %s takes over from %s", bundle.version, repository.traffic.primary.version)
    repository.swap(bundle)
    metrics.counter(MODEL_SWAPS).labels("done").inc()


def _count_failed(metrics: Metrics, error: Exception, what: str) -> None:
    metrics.counter(MODEL_SWAPS).labels("failed").inc()
    foreseen = isinstance(error, AlmanacError | OSError)
    text = str(error) if foreseen else f"{type(error).__name__}: {error}"
    _LOG.error("%s: %s", what, text, exc_info=None if foreseen else error)


async def follow_keys(guard: Guard, path: Path) -> None:
    """Take changes of the key file: new, rotated and revoked keys count within a second."""
    seen = _stamp(path)
    while True:
        await asyncio.sleep(_KEYS_SECONDS)
        stamp = _stamp(path)
        if stamp == seen:
            continue
        seen = stamp
        try:
            guard.ring = load_keys(path)
        except Exception as error:  # whatever it is, the next change must not go unseen
            _LOG.error("the keys in use are kept: %s", error)


@dataclass(frozen=True)
class _Shared:
    """What the workers of a machine have in common: the models that are unloaded, and the version that answers."""

    unloaded: frozenset[str]
    digest: str

    @classmethod
    def of(cls, repository: Repository) -> Self:
        return cls(frozenset(repository.unloaded), repository.traffic.primary.digest)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        if not path.exists():
            return None
        document = read_json(path)
        return cls(frozenset(document["unloaded"]), str(document["digest"]))

    def since(self, before: Self | None, there: Self | None) -> Self:
        """Return what is there with what has changed here since `before`: others may have changed something too."""
        if before is None or there is None:
            return self
        unloaded = (there.unloaded | (self.unloaded - before.unloaded)) - (before.unloaded - self.unloaded)
        return replace(self, unloaded=unloaded, digest=there.digest if self.digest == before.digest else self.digest)

    def write(self, path: Path) -> None:
        write_json(path, {"unloaded": sorted(self.unloaded), "digest": self.digest})


async def share_repository(repository: Repository, path: Path, metrics: Metrics) -> None:
    """Let all workers of a machine have the same models loaded and unloaded, and in the same version.

    A worker that has taken another version tells its digest, and the others load what stands at the source now. One
    that finds something newer there tells that in turn, so that all end with the same.

    Args:
        repository: this worker's models.
        path: file that the workers share.
        metrics: where swaps are counted.
    """
    told = _Shared.read(path)
    if told is not None:  # in place of a worker that ended, and as that one was told
        repository.unloaded = set(told.unloaded)
    seen: tuple[int, int] | None = None
    while True:
        await asyncio.sleep(_KEYS_SECONDS / 2)
        try:
            if (now := _Shared.of(repository)) != told:
                now.since(told, _Shared.read(path)).write(path)
                told = now
            elif (stamp := _stamp(path)) != seen:
                seen, told = stamp, await _follow(repository, path, metrics) or told
        except Exception as error:  # the others must still be followed
            _count_failed(metrics, error, "the version of the other workers was not taken")
            seen, told = None, _Shared.of(repository)
            await asyncio.sleep(_RETRY_SECONDS)


async def _follow(repository: Repository, path: Path, metrics: Metrics) -> _Shared | None:
    """Do as the shared file says, and return what it says."""
    told = _Shared.read(path)
    if told is not None:
        repository.unloaded = set(told.unloaded)
        if told.digest != repository.traffic.primary.digest:
            await _take_newest(repository, metrics)
    return told


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_ino
