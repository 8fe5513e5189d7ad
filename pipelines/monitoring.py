"""The monitoring pipeline."""

from typing import Any

from kfp import dsl

from almanac.usecase import UseCase
from components.monitoring.component import monitoring
from components.prediction.component import prediction
from components.remediation.component import remediation
from orchestration.settings import configure
from pipelines.definition import pipeline_of
from pipelines.ingested import configured, validated

#: The application's command that executes a plan, as arguments of Python.
_EXECUTE = "-m pipeline plans execute"


def monitoring_pipeline(case: UseCase) -> Any:
    """Return the monitoring pipeline of a use case, which acts on a breach by the drift policy."""
    windows = {"start": f"windows:{case.drift.policy.of}", "stop": "", "log": ""}

    @pipeline_of(case, "monitoring")
    def pipeline(
        overrides: str = "",
        base: str = "",
        registry: str = "registry",
        environment: str = "cluster",
        log: str = "",
        push: str = "",
        as_of: str = "",
        runs: str = "runs",
        host: str = "",
    ) -> None:
        """Evaluate the last windows of the model in production; retrain or ask for approval on a breach."""
        usecase = configured(case, overrides, registry, environment).outputs["usecase"]
        table = validated(case, usecase, base)
        common = {"usecase": usecase, "registry": registry}
        # Predictions for windows that no server or batch has logged.
        predicted = configure(case, prediction(table=table, **common, **windows))
        watched = configure(
            case,
            monitoring(
                table=table,
                predictions=predicted.outputs["predictions"],
                environment=environment,
                log=log,
                push=push,
                as_of=as_of,
                **common,
            ),
        )
        with dsl.If(watched.outputs["Output"] == True, name="breached"):  # noqa: E712
            configure(
                case,
                remediation(
                    monitoring=watched.outputs["monitoring"],
                    base=base,
                    environment=environment,
                    runs=runs,
                    host=host,
                    execute=_EXECUTE,
                    **common,
                ),
            )

    return pipeline
