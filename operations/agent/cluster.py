"""Replicas of InferenceServices on Kubernetes, and schedules and runs on Kubeflow."""

from datetime import datetime
from pathlib import Path
from typing import Any

from almanac.core.errors import AgentError
from governance.registry.stores import open_store
from operations.agent.policy import Schedules, Service, Training
from operations.agent.redaction import without_secrets
from orchestration.published_runs import PublishedRuns


def replicas(service: Service) -> tuple[int, int]:
    """Return the least replicas of an InferenceService, and the most that policy and object allow."""
    found = _kube().get(_item(service))
    if found is None:
        raise AgentError(f"InferenceService {service.namespace}/{service.name}: there is none")
    predictor = found["spec"]["predictor"]
    # KServe refuses a least number beyond the most, of which 0 means any.
    most = min(int(predictor.get("maxReplicas") or service.highest), service.highest)
    return int(predictor.get("minReplicas", 1)), most


def set_replicas(service: Service, count: int, *, bounded: bool = True) -> None:
    """Set the least replicas of an InferenceService, within the policy's bounds unless the former number is restored.

    Raises:
        AgentError: beyond the bounds.
    """
    if bounded and not service.lowest <= count <= service.highest:
        bounds = f"{service.lowest} to {service.highest}"
        raise AgentError(f"{count} replicas of {service.name} are beyond the policy's bounds, {bounds}")
    _kube().merge(_item(service), {"spec": {"predictor": {"minReplicas": count}}})


def schedules(settings: Schedules) -> dict[str, bool]:
    """Return whether each of the named schedules runs; one that is not there is left out."""
    found: dict[str, bool] = _cluster(settings).schedule_states(settings.names)
    return found


def set_schedule(settings: Schedules, name: str, run: bool) -> None:
    """Let a schedule run, or pause it.

    Raises:
        AgentError: a schedule that the policy does not name.
    """
    if name not in settings.names:
        raise AgentError(f"schedule {name}: the policy does not name it")
    _cluster(settings).switch_schedule(name, run)


def run_state(settings: Training, run: str) -> str | None:
    """Return the state in which a run has ended; None as long as it goes on."""
    from orchestration.cluster import ENDED

    state: str = _cluster(settings).state(run)
    return state if state in ENDED else None


def publish_failures(settings: Schedules | Training, runs: Any, registry: str, now: datetime) -> None:
    """Publish the runs that have failed on a Kubeflow in the registry's store, where the whole room reads them.

    Args:
        settings: say where it is.
        runs: finds those of one use case, orchestration.failed_runs.FailedRuns.
        registry: address of the model registry.
        now: the present.

    Raises:
        PipelineError: Kubeflow does not answer, or refuses.
        RegistryError: the registry's store cannot be written.
    """
    published = PublishedRuns(open_store(registry))
    known = {Path(key).stem for key in published.failures(runs.use_case)}
    for record in runs.new(_cluster(settings), now, known):
        published.publish_failure(record | {"error": without_secrets(record["error"])})


def _item(service: Service) -> dict[str, Any]:
    names = {"namespace": service.namespace, "name": service.name}
    return {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": names}


def _kube() -> Any:
    from serving.deploy.apply import connect
    from serving.deploy.kube import Kube

    return Kube(connect())


def _cluster(settings: Schedules | Training) -> Any:
    from orchestration.retraining.start import connect

    return connect(settings.host, settings.namespace)
