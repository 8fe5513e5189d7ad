"""The training pipeline."""

from typing import Any, NamedTuple

from kfp import dsl

from almanac.usecase import UseCase
from almanac.usecase.packed import label
from components.configuration.component import configuration
from components.deployment.component import deployment
from components.documentation.component import documentation
from components.drift.component import drift
from components.evaluation.component import evaluation
from components.gate.component import gate
from components.ingestion.component import ingestion
from components.preflight.component import preflight
from components.preprocessing.component import preprocessing
from components.registration.component import registration
from components.training.component import training
from components.validation.component import validation
from orchestration.settings import configure
from pipelines.definition import pipeline_of
from pipelines.ingested import carrying


def training_pipeline(case: UseCase) -> Any:
    """Return the training pipeline of a use case, which the pipeline carries."""

    @pipeline_of(case, "training")
    def pipeline(
        overrides: str = "",
        base: str = "",
        registry: str = "registry",
        environment: str = "cluster",
        push: str = "",
    ) -> None:
        """Train, evaluate, register and deploy."""
        where = {"registry": registry, "environment": environment}
        # One task outside of the condition: on a cluster each further one is ten seconds of a run that changes nothing.
        present = carrying(case, preflight(compiled=label(case), overrides=overrides, base=base, **where))
        # One condition around all: each further one would be a pod before its tasks, and Kubeflow leaves a graph that
        # holds a skipped one at "running" after the run. A closed gate fails the registration instead.
        with dsl.If(present.outputs["Output"] == True, name="changed"):  # noqa: E712
            usecase = _usecase(case, present.outputs["compiled"], registry)
            table = configure(case, ingestion(usecase=usecase, base=base, fingerprint=present.outputs["fingerprint"]))
            valid = configure(case, validation(usecase=usecase, table=table.outputs["table"]))
            drifted = configure(case, drift(usecase=usecase, table=valid.outputs["validated"], registry=registry))
            candidate = _candidate(case, usecase, valid.outputs["validated"], registry)
            # Drift is measured against the model in production before this run can put its own there.
            candidate.decided.after(drifted)
            _published(case, usecase, candidate, table.outputs["lineage"], where, push)

    return pipeline


def _usecase(case: UseCase, compiled: Any, registry: Any) -> Any:
    """Return the use case with its overrides, which preflight has put into the registry, as an artifact."""
    given = {"overrides": "", "registry": registry, "environment": ""}
    return configure(case, configuration(compiled=compiled, **given)).outputs["usecase"]


class _Candidate(NamedTuple):
    """The tasks that train, evaluate and judge a model."""

    model: dsl.PipelineTask
    evaluated: dsl.PipelineTask
    decided: dsl.PipelineTask


def _candidate(case: UseCase, usecase: Any, table: Any, registry: Any) -> _Candidate:
    """Train a model on the validated table, evaluate it, and let the gate decide."""
    features = configure(case, preprocessing(usecase=usecase, table=table))
    model = configure(case, training(usecase=usecase, table=table, **features.outputs))
    evaluated = configure(
        case, evaluation(usecase=usecase, features=features.outputs["features"], **_named(model, "model", "tuning"))
    )
    decided = configure(
        case, gate(usecase=usecase, table=table, registry=registry, **_named(evaluated, "figures", "predictions"))
    )
    return _Candidate(model, evaluated, decided)


def _published(
    case: UseCase, usecase: Any, candidate: _Candidate, lineage: Any, where: dict[str, Any], push: Any
) -> None:
    """Register a model, document it, and deploy it if it is promoted."""
    # Registered before its documents, which quote the version and its signature.
    registered = configure(
        case,
        registration(
            usecase=usecase,
            lineage=lineage,
            predictions=candidate.decided.outputs["judged"],
            decision=candidate.decided.outputs["decision"],
            **_named(candidate.model, "model", "tuning"),
            **_named(candidate.evaluated, "figures", "evaluation"),
            **where,
        ),
    )
    documented = configure(
        case,
        documentation(usecase=usecase, registration=registered.outputs["registration"], registry=where["registry"]),
    )
    configure(case, deployment(usecase=usecase, promoted=documented.outputs["Output"], push=push, **where))


def _named(task: dsl.PipelineTask, *names: str) -> dict[str, Any]:
    """Return outputs of a task as the arguments of the same names."""
    return {name: task.outputs[name] for name in names}
