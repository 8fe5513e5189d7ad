"""The training pipeline."""

from typing import Any

from kfp import dsl

from almanac.usecase import UseCase
from components.deployment.component import deployment
from components.documentation.component import documentation
from components.drift.component import drift
from components.evaluation.component import evaluation
from components.gate.component import gate
from components.preprocessing.component import preprocessing
from components.registration.component import registration
from components.rejection.component import rejection
from components.training.component import training
from components.validation.component import validation
from orchestration.settings import configure
from pipelines.definition import pipeline_of
from pipelines.ingested import configured, ingested


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
        usecase = configured(case, overrides, registry, environment, registers=True).outputs["usecase"]
        table = ingested(case, usecase, base)
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
        with dsl.If(decided.outputs["Output"] == True, name="open"):  # noqa: E712
            evidence = {
                "model": model.outputs["model"],
                "tuning": model.outputs["tuning"],
                "figures": evaluated.outputs["figures"],
                "evaluation": evaluated.outputs["evaluation"],
                "predictions": decided.outputs["judged"],
                "decision": decided.outputs["decision"],
                "lineage": table.outputs["lineage"],
            }
            common = {"usecase": usecase, "registry": registry}
            # Registered before its documents, which quote the version and its signature.
            registered = configure(case, registration(environment=environment, **common, **evidence))
            record = registered.outputs["registration"]
            documented = configure(case, documentation(registration=record, **common, **evidence))
            # No condition of its own: Kubeflow leaves a branch that holds a skipped branch at "running" after the run.
            configure(
                case,
                deployment(promoted=documented.outputs["Output"], environment=environment, push=push, **common),
            )
        # Otherwise the run would succeed without a model.
        with dsl.Else(name="closed"):
            configure(case, rejection(decision=decided.outputs["decision"]))

    return pipeline
