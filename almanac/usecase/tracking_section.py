"""Section on tracking: an MLflow server that trainings are logged to, in addition to the archive for Comet."""

from typing import Annotated

from pydantic import Field

from almanac.usecase.cluster_section import Url
from almanac.usecase.types import Section


class MLflow(Section):
    """An MLflow server, whose user, password or token come from MLflow's own environment variables."""

    uri: Url
    """Address of the server."""
    experiment: Annotated[str, Field(min_length=1)] | None = None
    """Name of the experiment; that of the use case when absent."""


class Tracking(Section):
    """Where trainings are logged to."""

    mlflow: MLflow
    """MLflow server."""
