"""The figures of a registered version: what it promises, and when it was trained."""

from datetime import datetime
from pathlib import Path

from monitoring.operations import figures
from monitoring.operations.push import push


def push_version(
    use_case: str, what: str | int, registry: str | Path, to: str, window: str = "30d", at: datetime | None = None
) -> int:
    """Push what a registered version reached on its test span and when it was registered; return how many figures.

    The alerts for a model's error hold it against its own baseline, and those for an overdue retraining against this
    time.

    Args:
        use_case: name of the use case.
        what: stage or number of the version.
        registry: address of the registry.
        to: a directory that an exporter reads, or the URL of a Pushgateway.
        window: length of the monitoring pipeline's windows.
        at: the present, whose season the limits of the errors are of; the clock by default.

    Raises:
        RegistryError: no such version, or a file that does not verify.
        MetricError: a version without figures, or a gateway that does not take them.
    """
    from governance.registry import Registry, fetch

    known = Registry(registry)
    version = known.version(use_case, what)
    directory = fetch(known, use_case, version).parent
    samples = figures.of_run(directory, str(version.number), version.registered_at, window, at)
    push(samples, to, f"{use_case}-model")
    return len(samples)
