"""Follow promotions in the registry, changes of the key file, and the other workers' models."""

import asyncio
import fcntl
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from almanac.core.errors import AlmanacError
from almanac.core.files import read_json, write_json
from monitoring.metrics import MODEL_SWAPS, Metrics
from serving.prediction.repository import UNLOADED, Repository
from serving.prediction.use_case import ServedUseCase
from serving.security.guard import Guard
from serving.security.keys import load_keys

_LOG = logging.getLogger("almanac.serving")
_KEYS_SECONDS = 0.5
_RETRY_SECONDS = 5.0


async def follow_promotions(repository: Repository, use_case: ServedUseCase, seconds: float, metrics: Metrics) -> None:
    """Load each promoted version of a use case, then swap; after a failure the running version stays.

    A use case that could not be loaded at the start is tried again with each version; one that was unloaded or put out
    waits for the order to load it.
    """
    loop, tried = asyncio.get_running_loop(), use_case.version
    while use_case.source.follows_promotions:
        await asyncio.sleep(seconds)
        traffic = use_case.traffic
        if traffic is None and use_case.version:
            continue
        try:
            current = await loop.run_in_executor(None, use_case.source.current)
            if current != (tried if traffic is None else traffic.primary.version):
                tried = current or ""
                await _take_newest(repository, use_case, metrics)
        except Exception as error:  # of any kind: the next promotion must still be seen
            _count_failed(metrics, error, "the promoted version was not taken")


async def _take_newest(repository: Repository, use_case: ServedUseCase, metrics: Metrics) -> None:
    bundle = await asyncio.get_running_loop().run_in_executor(None, repository.newest, use_case)
    running = use_case.traffic.primary if use_case.traffic else None
    # A promotion of the same files is no swap, but a new version number is.
    if running is not None and bundle.digest == running.digest and bundle.version == running.version:
        return
    _LOG.info("version %s takes over from %s", bundle.version, running.version if running else "none")
    repository.swap(bundle, use_case)
    metrics.counter(MODEL_SWAPS).labels("done").inc()


def _count_failed(metrics: Metrics, error: Exception, event: str) -> None:
    metrics.counter(MODEL_SWAPS).labels("failed").inc()
    expected = isinstance(error, AlmanacError | OSError)
    text = str(error) if expected else f"{type(error).__name__}: {error}"
    _LOG.error("%s: %s", event, text, exc_info=None if expected else error)


async def follow_keys(guard: Guard, path: Path) -> None:
    """Reload the key file when it changes, within a second."""
    seen = _stamp(path)
    while True:
        await asyncio.sleep(_KEYS_SECONDS)
        stamp = _stamp(path)
        # A stamp costs a microsecond, reading the keys a thousand.
        if stamp == seen:
            continue
        seen = stamp
        try:
            guard.ring = load_keys(path)
        except Exception as error:  # of any kind: the next change must still be seen
            _LOG.error("the keys in use are kept: %s", error)


@dataclass(frozen=True)
class _Shared:
    """The state that the workers of a machine share: the unloaded models, and each use case's digest in service.

    A use case that is not loaded has no digest.
    """

    unloaded: frozenset[str]
    digests: dict[str, str]

    @classmethod
    def of(cls, repository: Repository) -> Self:
        digests = {one.name: one.traffic.primary.digest if one.traffic else "" for one in repository.use_cases}
        return cls(frozenset(repository.unloaded), digests)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        if not path.exists():
            return None
        document = read_json(path)
        return cls(frozenset(document["unloaded"]), dict(document["digests"]))

    def merged(self, before: Self, stored: Self | None) -> Self:
        """Return the stored state with this worker's changes since `before`; other workers may have changed it too."""
        if stored is None:
            return self
        unloaded = (stored.unloaded | (self.unloaded - before.unloaded)) - (before.unloaded - self.unloaded)
        changed = {name: own for name, own in self.digests.items() if own != before.digests.get(name)}
        return replace(self, unloaded=unloaded, digests={**stored.digests, **changed})

    def write(self, path: Path) -> None:
        write_json(path, {"unloaded": sorted(self.unloaded), "digests": self.digests})


async def share_repository(repository: Repository, path: Path, metrics: Metrics) -> None:
    """Keep the loaded models and their version the same in all workers of a machine.

    A worker that has loaded a new version publishes its digest; the other workers then reload from the source. One that
    finds a newer version publishes that in turn, so that all end with the same.

    Args:
        repository: this worker's models.
        path: file that the workers share.
        metrics: the metrics of swaps.
    """
    known = _Shared.read(path)
    if known is not None:  # this worker replaces one that ended
        repository.unloaded = set(known.unloaded)
    else:  # what it starts with is no change, which would undo one of another worker
        known = _Shared.of(repository)
    seen: tuple[int, int] | None = None
    while True:
        await asyncio.sleep(_KEYS_SECONDS / 2)
        try:
            if (now := _Shared.of(repository)) != known:
                _publish(path, known, now)
                known = now
            # Own changes are written first: reading would overwrite them.
            elif (stamp := _stamp(path)) != seen:
                seen, known = stamp, await _follow(repository, path, metrics) or known
        except Exception as error:  # of any kind: the others must still be followed
            _count_failed(metrics, error, "the version of the other workers was not taken")
            seen, known = None, _Shared.of(repository)
            await asyncio.sleep(_RETRY_SECONDS)


def _publish(path: Path, known: _Shared, now: _Shared) -> None:
    """Write this worker's changes; locked, so that no other's are lost that are written at the same time."""
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        now.merged(known, _Shared.read(path)).write(path)


async def _follow(repository: Repository, path: Path, metrics: Metrics) -> _Shared | None:
    """Apply the shared state, and return it."""
    shared = _Shared.read(path)
    if shared is not None:
        repository.unloaded = set(shared.unloaded)
        for use_case in repository.use_cases:
            own = use_case.traffic.primary.digest if use_case.traffic else ""
            wanted = shared.digests.get(use_case.name, own)
            if not wanted:
                repository.release(use_case, UNLOADED)
            elif wanted != own:
                await _take_newest(repository, use_case, metrics)
    return shared


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    # The inode too: the file is replaced, perhaps within the resolution of its time.
    return status.st_mtime_ns, status.st_ino
