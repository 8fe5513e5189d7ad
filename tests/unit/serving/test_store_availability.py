"""One metric for the stores of all use cases: whether Redis answers every one of them."""

from prometheus_client import CollectorRegistry

from monitoring.metrics import REDIS_AVAILABLE, Metrics
from serving.features.store.open import StoreAvailability


def test_redis_is_available_while_it_answers_every_store() -> None:
    registry = CollectorRegistry()
    availability = StoreAvailability(Metrics(registry))

    def shown() -> float | None:
        return registry.get_sample_value(REDIS_AVAILABLE.name, {"use": "features"})

    assert shown() is None  # before a store in Redis is opened there is nothing to say
    availability.report("air", True)
    assert shown() == 1
    steps = [("air", False, 0), ("rail", True, 0), ("rail", False, 0), ("air", True, 0), ("air", True, 0)]
    for use_case, available, expected in [*steps, ("rail", True, 1)]:
        availability.report(use_case, available)
        assert shown() == expected
