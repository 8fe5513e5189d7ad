"""What a running server follows: promotions in the registry, changes of the key file, the other workers' repository."""

import asyncio
import logging
from pathlib import Path

from components.common.errors import AlmanacError
from components.common.files import read_json, write_json
from monitoring.metrics import MODEL_SWAPS, Metrics
from serving.models.repository import Repository
from serving.models.source import Source
from serving.security.guard import Guard
from serving.security.keys import load_keys

_LOG = logging.getLogger("almanac.serving")
_KEYS_SECONDS = 0.5


async def follow_promotions(repository: Repository, source: Source, seconds: float, metrics: Metrics) -> None:
    """Load each newly promoted version beside the running one, then swap; a version that fails changes nothing."""
    loop = asyncio.get_running_loop()
    while source.follows_promotions:
        await asyncio.sleep(seconds)
        try:
            current = await loop.run_in_executor(None, source.current)
            if current == repository.traffic.primary.version:
                continue
            bundle = await loop.run_in_executor(None, source.load)
        except (AlmanacError, OSError) as error:
            metrics.counter(MODEL_SWAPS).labels("failed").inc()
            _LOG.error("the promoted version was not taken: %s", error)
            continue
        _LOG.info("version %s takes over from %s", bundle.version, repository.traffic.primary.version)
        repository.swap(bundle)
        metrics.counter(MODEL_SWAPS).labels("done").inc()


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
        except AlmanacError as error:
            _LOG.error("the keys in use are kept: %s", error)


async def share_unloaded(repository: Repository, path: Path) -> None:
    """Let all workers of a machine have the same models loaded and unloaded.

    Args:
        repository: this worker's models.
        path: file that the workers share.
    """
    mine, stamp = frozenset(repository.unloaded), _stamp(path)
    while True:
        await asyncio.sleep(_KEYS_SECONDS / 2)
        if repository.unloaded != mine:
            mine = frozenset(repository.unloaded)
            write_json(path, sorted(mine))
            stamp = _stamp(path)
        elif _stamp(path) != stamp:
            stamp = _stamp(path)
            mine = frozenset(read_json(path))
            repository.unloaded = set(mine)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_ino
