"""The training pipeline."""

from typing import Any

from kfp import dsl

from almanac.usecase import UseCase
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
from pipelines.ingested import configured


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
        usecase = configured(case, overrides, registry).outputs["usecase"]
        where = {"registry": registry, "environment": environment}
        present = configure(case, preflight(usecase=usecase, base=base, **where))
        # One condition around all: each further one would be a pod before its tasks, and Kubeflow leaves a graph that
        # holds a skipped one at "running" after the run. A closed gate fails the registration instead.
        with dsl.If(present.outputs["Output"] == True, name="changed"):  # noqa: E712
            table = configure(case, ingestion(usecase=usecase, base=base, fingerprint=present.outputs["fingerprint"]))
            valid = configure(case, validation(usecase=usecase, table=table.outputs["table"]))
            drifted = configure(case, drift(usecase=usecase, table=valid.outputs["validated"], registry=registry))
            features = configure(case, preprocessing(usecase=usecase, table=valid.outputs["validated"]))
            model = configure(case, training(usecase=usecase, table=valid.outputs["validated"], **features.outputs))
            evaluated = configure(
                case,
                evaluation(
                    usecase=usecase,
                    features=features.outputs["features"],
                    model=model.outputs["model"],
                    tuning=model.outputs["tuning"],
                ),
            )
            decided = configure(
                case,
                gate(
                    usecase=usecase,
                    figures=evaluated.outputs["figures"],
                    predictions=evaluated.outputs["predictions"],
                    table=valid.outputs["validated"],
                    registry=registry,
                ),
            )
            # Drift is measured against the model in production before this run can put its own there.
            decided.after(drifted)
            # Registered before its documents, which quote the version and its signature.
            registered = configure(
                case,
                registration(
                    usecase=usecase,
                    model=model.outputs["model"],
                    tuning=model.outputs["tuning"],
                    figures=evaluated.outputs["figures"],
                    evaluation=evaluated.outputs["evaluation"],
                    predictions=decided.outputs["judged"],
                    decision=decided.outputs["decision"],
                    lineage=table.outputs["lineage"],
                    **where,
                ),
            )
            documented = configure(
                case,
                documentation(usecase=usecase, registration=registered.outputs["registration"], registry=registry),
            )
            configure(case, deployment(usecase=usecase, promoted=documented.outputs["Output"], push=push, **where))

    return pipeline
