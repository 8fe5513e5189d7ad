"""The batch-prediction pipeline."""

from typing import Any

from almanac.usecase import UseCase
from components.prediction.component import prediction
from orchestration.settings import configure
from pipelines.definition import pipeline_of
from pipelines.ingested import configured, validated


def batch_pipeline(case: UseCase) -> Any:
    """Return the batch-prediction pipeline of a use case."""

    @pipeline_of(case, "batch")
    def pipeline(
        overrides: str = "",
        base: str = "",
        registry: str = "registry",
        environment: str = "cluster",
        start: str = "",
        stop: str = "",
        log: str = "",
    ) -> None:
        """Predict a span of the newest data by the model in production."""
        usecase = configured(case, overrides, registry, environment).outputs["usecase"]
        table = validated(case, usecase, base)
        span = {"start": start, "stop": stop, "log": log}
        configure(case, prediction(usecase=usecase, table=table, registry=registry, **span))

    return pipeline
