"""A client or a service that is depended on sends wrong requests, or does not answer."""

from collections.abc import Iterator

from operations.agent.causes import Cause, Sign, against, alarm, figure
from operations.agent.evidence import Evidence

_NAMES = (
    "alarm",
    "refused",
    "store",
)


def _signs(evidence: Evidence) -> Iterator[Sign]:
    yield from alarm(evidence, "AlmanacKeysRefused")
    refused = {
        "service.refused_keys": "share of the requests without a valid key",
        "service.refused_rows": "share of the requests with rows that cannot be taken",
        "run.unreachable": "the run could not reach its source",
    }
    yield from figure("refused", evidence, refused)
    yield from against("store", evidence, {"service.redis_away": "the store is away", "run.store": "the run names it"})


KIND = Cause("upstream", "A client or a service upstream fails", _NAMES, _signs)
