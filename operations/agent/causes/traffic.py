"""Clients ask much more, or no longer."""

from collections.abc import Iterator

from operations.agent.causes import Cause, Sign, against, alarm, figure
from operations.agent.evidence import Evidence

_NAMES = (
    "alarm",
    "requests",
    "refused",
)


def _signs(evidence: Evidence) -> Iterator[Sign]:
    yield from alarm(evidence, "AlmanacNoTraffic", "AlmanacRateLimiting", "AlmanacCacheMisses")
    requests = {
        "service.surge": "requests over what was usual",
        "service.silence": "usual requests over those of now",
        "service.limited": "share of the requests beyond a rate limit",
    }
    yield from figure("requests", evidence, requests)
    refused = {
        "service.refused_keys": "share of the requests without a valid key",
        "service.refused_rows": "share of the requests with rows that cannot be taken",
    }
    yield from against("refused", evidence, refused)


KIND = Cause("traffic", "Traffic has changed", _NAMES, _signs)
