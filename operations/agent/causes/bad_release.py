"""The newest version is worse than the one before, or does not load."""

from collections.abc import Iterator

from operations.agent.causes import Cause, Sign, against_column, alarm, fact, figure
from operations.agent.evidence import Evidence

_NAMES = (
    "alarm",
    "worse",
    "service",
    "unit",
    "stuck",
)


def _signs(evidence: Evidence) -> Iterator[Sign]:
    yield from alarm(evidence, "AlmanacCanaryFailed", "AlmanacModelSwapFailed", "AlmanacUseCaseNotReady")
    yield from figure("worse", evidence, {"release.worse": "error over that of the version before, on the same rows"})
    service = {
        "service.canary_failed": "the canary broke its bound",
        "service.canary_excess": "the canary's excess over its bound",
        "service.swap_failed": "a promoted version could not be loaded",
        "service.not_loaded": "no version is loaded",
    }
    yield from fact("service", evidence, service)
    yield from against_column("unit", evidence, "unit", "a conversion of its unit explains the distance")
    yield from against_column("stuck", evidence, "run", "longest run of one value")


KIND = Cause("bad_release", "The newest version is bad", _NAMES, _signs)
