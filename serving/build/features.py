"""The features at request time of a server, from its settings."""

from concurrent.futures import Executor

from monitoring.metrics import Metrics
from serving.features.data_freshness import DataFreshness
from serving.features.feature_requests import Features
from serving.features.feature_sets import FeatureSets
from serving.features.store.open import StoreAvailability, StoreLimits, open_ingestor
from serving.prediction.repository import Repository
from serving.settings import Settings


def made_features(settings: Settings, repository: Repository, metrics: Metrics, executor: Executor) -> FeatureSets:
    """Return the features of each use case; its store is opened when the first request asks for it."""
    limits = StoreLimits(settings.store_entities, settings.store_bytes)
    availability = StoreAvailability(metrics)

    def made(name: str) -> Features:
        return Features(
            lambda: open_ingestor(settings.feature_store, repository.primary(name), metrics, limits, availability),
            DataFreshness(metrics),
            executor,
        )

    return FeatureSets(made)
