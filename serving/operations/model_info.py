"""The metrics that say which models are loaded."""

import time

from monitoring.metrics import MODEL_INFO, MODEL_LOADED, Metrics
from serving.prediction.repository import Traffic, Watcher


def publish_model_info(metrics: Metrics) -> Watcher:
    """Return what sets the model metrics whenever the traffic changes."""
    shown: set[tuple[str, ...]] = set()

    def publish(traffic: Traffic) -> None:
        gauge = metrics.gauge(MODEL_INFO)
        now = set()
        roles = [(traffic.primary, "primary"), *([(traffic.second, traffic.role)] if traffic.second else [])]
        for bundle, role in roles:
            for target in bundle.targets.values():
                now.add((target.name, target.version, target.digest, bundle.use_case, target.name, role))
        for labels in shown - now:
            gauge.labels(*labels).set(0)
        for labels in now:
            gauge.labels(*labels).set(1)
        for name in traffic.primary.targets:
            metrics.gauge(MODEL_LOADED).labels(name).set(time.time())
        shown.update(now)

    return publish
