"""Settings of each task on a cluster: resources, retries, timeouts, secrets, caching; one table for all pipelines."""

import os
from dataclasses import dataclass, replace

from kfp import dsl, kubernetes

from almanac.core.errors import UseCaseError
from almanac.usecase import UseCase
from almanac.usecase.cluster_section import Cluster
from governance.signing import MOUNTED_KEY
from orchestration.placement import place

_SECRETS = {
    "almanac-store": {
        "access_key": "AWS_ACCESS_KEY_ID",
        "secret_key": "AWS_SECRET_ACCESS_KEY",
        "endpoint": "AWS_ENDPOINT_URL",
    },
    "almanac-comet": {"api_key": "COMET_API_KEY"},
    "almanac-mlflow": {
        "username": "MLFLOW_TRACKING_USERNAME",
        "password": "MLFLOW_TRACKING_PASSWORD",
        "token": "MLFLOW_TRACKING_TOKEN",
    },
}
#: Names of the images, which tasks that make pipelines or servers need where they are not the release's own.
_IMAGES = ("ALMANAC_IMAGE", "ALMANAC_SERVING_IMAGE")
#: A secret that is mounted as a file, because other processes could read an environment variable.
_SIGNING = "almanac-signing"
#: Address of the registry, for runs whose parameter does not give it.
_REGISTRY = "almanac", {"registry": "ALMANAC_REGISTRY"}
#: Address of the prediction log, which servers read from the same key.
_PREDICTIONS = "almanac", {"predictions": "ALMANAC_PREDICTION_LOG"}
#: Label by which Kubeflow's own PodDefault gives pods the token of their account.
_TOKEN = "access-ml-pipeline", "true"
#: Address of the Dask scheduler, for use cases that do not give it.
_DASK = "almanac-dask", {"address": "DASK_SCHEDULER_ADDRESS"}


@dataclass(frozen=True)
class Settings:
    """Settings of one task.

    Attributes:
        cpu: CPU request; the limit is twice that.
        memory: Memory request and limit.
        minutes: Time limit in minutes.
        cached: Whether the same inputs give the same result, which a clock, a source or the registry would change.
        secrets: Kubernetes secrets whose keys become environment variables, if they exist.
        signs: Whether the key that signs versions is mounted.
        log: Whether the address of the prediction log comes from a config map, if that exists.
        dask: Whether the address of a Dask scheduler comes from a config map, if that exists.
        submits: Whether it submits runs, for which a Kubeflow of several users asks for a token.
    """

    cpu: int = 1
    memory: str = "2Gi"
    minutes: int = 30
    cached: bool = True
    secrets: tuple[str, ...] = ()
    signs: bool = False
    log: bool = False
    dask: bool = False
    submits: bool = False


_STORE = ("almanac-store",)
#: Tasks that read the sources.
_READERS = frozenset({"preflight", "fingerprint", "ingestion"})
SETTINGS = {
    "configuration": Settings(memory="1Gi", minutes=10, secrets=_STORE),
    "preflight": Settings(minutes=60, cached=False, secrets=_STORE, signs=True),
    "fingerprint": Settings(minutes=60, cached=False, secrets=_STORE),
    # Keyed by the sources' fingerprint, or by the digests that the use case declares.
    "ingestion": Settings(minutes=60, secrets=_STORE),
    "validation": Settings(),
    "drift": Settings(cached=False, secrets=_STORE),
    "preprocessing": Settings(cpu=2, memory="4Gi", dask=True),
    "training": Settings(cpu=2, memory="8Gi", minutes=360, secrets=("almanac-comet",), dask=True),
    "evaluation": Settings(cpu=2, memory="4Gi"),
    "gate": Settings(cached=False, secrets=_STORE),
    "registration": Settings(cached=False, secrets=_STORE, signs=True),
    "documentation": Settings(cached=False, secrets=_STORE, signs=True),
    "prediction": Settings(cpu=2, memory="4Gi", cached=False, secrets=_STORE),
    "monitoring": Settings(cpu=2, memory="4Gi", cached=False, secrets=_STORE, log=True),
    "remediation": Settings(minutes=360, cached=False, secrets=_STORE, submits=True),
    "deployment": Settings(minutes=45, cached=False, secrets=_STORE),
}

#: A finished workflow object is deleted after a week, a failed one after a month; artifacts and records stay.
PIPELINE = dsl.PipelineConfig(ttl_seconds_after_success=7 * 86400, ttl_seconds_after_failure=30 * 86400)


def pipeline_name(use_case: str, kind: str) -> str:
    """Return the name of a use case's pipeline on Kubeflow: of its training, monitoring or batch."""
    return f"{use_case.replace('_', '-')}-{kind}"


def configure(case: UseCase, task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Apply the settings of its component, and the use case's cluster section, to a task; return it.

    Args:
        case: the use case.
        task: the task.
    """
    # kfp numbers the tasks of one component: ingestion, ingestion-2.
    name = task.name.rstrip("-0123456789")
    settings = _settings(name, case.cluster)
    # A task may use idle cores beyond its request, but not memory, which a node cannot take back.
    task.set_cpu_request(str(settings.cpu)).set_cpu_limit(str(2 * settings.cpu))
    task.set_memory_request(settings.memory).set_memory_limit(settings.memory)
    task.set_caching_options(settings.cached)
    kubernetes.set_timeout(task, settings.minutes * 60)
    # Clusters with the restricted profile admit no pod without it.
    kubernetes.set_security_context(task, run_as_non_root=True)
    # The image is read-only, and libraries write to /tmp.
    kubernetes.empty_dir_mount(task, volume_name="tmp", mount_path="/tmp", size_limit="4Gi")  # noqa: S108
    tracked = ("almanac-mlflow",) if name == "training" and case.tracking is not None else ()
    for secret in (*settings.secrets, *tracked):
        kubernetes.use_secret_as_env(task, secret, _keys(secret, case.cluster), optional=True)
    if settings.secrets == _STORE:
        kubernetes.use_config_map_as_env(task, *_REGISTRY, optional=True)
        for variable in _IMAGES:
            if variable in os.environ:
                task.set_env_variable(variable, os.environ[variable])
    if settings.log:
        kubernetes.use_config_map_as_env(task, *_PREDICTIONS, optional=True)
    if settings.signs:
        kubernetes.use_secret_as_volume(task, _SIGNING, mount_path=str(MOUNTED_KEY.parent), optional=True)
    if settings.dask:
        kubernetes.use_config_map_as_env(task, *_DASK, optional=True)
    if settings.submits:
        kubernetes.add_pod_label(task, *_TOKEN)
    place(task, case.cluster, network=bool(settings.secrets) or settings.dask, sources=name in _READERS)
    return task


def _settings(name: str, cluster: Cluster) -> Settings:
    """Return the settings of a task with the changes of the cluster section.

    Raises:
        UseCaseError: the section names a task that does not exist.
    """
    if unknown := sorted(cluster.resources.keys() - SETTINGS.keys()):
        raise UseCaseError(f"cluster.resources: no task {unknown[0]}; expected one of {', '.join(sorted(SETTINGS))}")
    given = cluster.resources.get(name)
    return replace(SETTINGS[name], **(given.model_dump(exclude_none=True) if given else {}))


def _keys(secret: str, cluster: Cluster) -> dict[str, str]:
    """Return the variables of a secret's keys; an address in the use case takes the place of the secret's."""
    given = cluster.store_endpoint is not None
    return {key: name for key, name in _SECRETS[secret].items() if not (given and key == "endpoint")}
