"""The first tasks of pipelines: the use case that one of them carries, and the validated table of its sources."""

from typing import Any

from kfp import dsl

from almanac.usecase import UseCase
from almanac.usecase.packed import VARIABLE, fits, label, pack
from components.configuration.component import configuration
from components.fingerprint.component import fingerprint
from components.ingestion.component import ingestion
from components.validation.component import validation
from orchestration.settings import configure


def configured(case: UseCase, overrides: Any, registry: Any, environment: Any) -> dsl.PipelineTask:
    """Return the task whose output `usecase` every other task reads.

    Args:
        case: the use case.
        overrides: the run's changed fields.
        registry: the run's address of the registry.
        environment: the run's environment.
    """
    given = {"overrides": overrides, "registry": registry, "environment": environment}
    return carrying(case, configuration(compiled=label(case), **given))


def carrying(case: UseCase, task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Configure a task that reads the compiled use case, let it carry the use case if that is small, and return it."""
    configure(case, task)
    # Neither a parameter nor an artifact: Kubeflow copies a parameter six times for every task that reads it, and
    # Argo refuses a workflow of more than 1 MiB.
    if fits(packed := pack(case)):
        task.set_env_variable(VARIABLE, packed)
    return task


def validated(case: UseCase, usecase: Any, base: Any) -> Any:
    """Return the table of the use case's sources after its validation."""
    table = _ingested(case, usecase, base)
    return configure(case, validation(usecase=usecase, table=table.outputs["table"])).outputs["validated"]


def _ingested(case: UseCase, usecase: Any, base: Any) -> dsl.PipelineTask:
    """Return the ingestion task, which is cached by the content of its sources."""
    if all(source.sha256 is not None for source in case.sources):
        return configure(case, ingestion(usecase=usecase, base=base, fingerprint=""))
    # The cluster's cache identifies an artifact by its id, and a source that was read again has a new one. A
    # fingerprint is a parameter, which is equal when the content is.
    present = configure(case, fingerprint(usecase=usecase, base=base))
    return configure(case, ingestion(usecase=usecase, base=base, fingerprint=present.output))
