"""The feature store is away, slow or fails."""

from collections.abc import Iterator

from operations.agent.causes import Cause, Sign, alarm, figure
from operations.agent.evidence import Evidence

_NAMES = (
    "alarm",
    "store",
)


def _signs(evidence: Evidence) -> Iterator[Sign]:
    yield from alarm(evidence, "AlmanacRedisAway", "AlmanacFeatureStoreErrors", "AlmanacFeatureStoreSlow")
    store = {
        "service.redis_away": "the store is away",
        "service.store_errors": "failed operations of the store",
        "service.store_slow": "time of the store's operations",
        "run.store": "the run names the store",
    }
    yield from figure("store", evidence, store)


KIND = Cause("store", "The feature store fails", _NAMES, _signs)
