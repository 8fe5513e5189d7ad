"""Sections on operations: drift, serving, governance, schedules."""

import re
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from almanac.usecase.address import UNSTATED, Address
from almanac.usecase.training_section import Decision
from almanac.usecase.types import Date, Duration, Name, Section

Signal = Literal["columns", "target", "prediction", "residual", "importance", "error", "coverage"]
"""Signals of drift: raw columns, and of each target the truth, the forecast, their difference, the ranking of the
features by importance, the error relative to persistence's, and the coverage of the intervals."""
SIGNALS: tuple[Signal, ...] = get_args(Signal)


class DriftPolicy(Section):
    """Condition for action: enough of the last windows breach, the newest among them."""

    breaches: Annotated[int, Field(ge=1)] = 2
    """Breaching windows."""
    of: Annotated[int, Field(ge=1)] = 3
    """Windows looked at."""
    action: Literal["retrain", "ask"] = "ask"
    """Start the training pipeline, or ask for approval first."""
    retrain_window: Duration | None = None
    """Sliding training window of such a retraining; the split's when absent."""


class Drift(Section):
    """Drift monitoring."""

    columns: list[Name] | None = None
    """Raw columns; all when absent."""
    window: Duration = "30d"
    """Length of a window."""
    season: Literal["none", "month", "quarter"] = "month"
    """A window is compared with the same season of the reference."""
    false_alarm_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Share of undrifted windows that may raise the alarm: over columns, targets, predictions, residuals and
    importances together, and once more over errors and coverages together."""
    signals: Annotated[list[Signal], Field(min_length=1)] = list(SIGNALS)
    """Signals that count towards the alarm and the policy; the others are only computed and reported."""
    policy: DriftPolicy = DriftPolicy()
    """Condition for action."""

    @model_validator(mode="after")
    def _signals_once(self) -> "Drift":
        if twice := [name for name in dict.fromkeys(self.signals) if self.signals.count(name) > 1]:
            raise ValueError(f"signals: {twice[0]} is named twice")
        return self


_REPOSITORY = re.compile(r"oci://[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+")


def _loading(value: str) -> str:
    if value not in ("server", "initializer") and not _REPOSITORY.fullmatch(value):
        raise ValueError("expected server, initializer or oci://REPOSITORY, such as oci://ghcr.io/acme/models")
    return value


class Serving(Section):
    """Serving of the model."""

    out_of_range: Literal["warn", "refuse"] = "warn"
    """Treatment of an input beyond its declared range."""
    decision: Decision | None = None
    """Decision signal of every regression target that has none of its own."""
    min_replicas: Annotated[int, Field(ge=1)] = 2
    """Fewest pods."""
    max_replicas: Annotated[int, Field(ge=1)] = 4
    """Most pods."""
    namespace: str = "almanac"
    """Kubernetes namespace."""
    loading: Annotated[str, AfterValidator(_loading)] = "server"
    """Who brings the model: `server` reads the object store itself, `initializer` is KServe's before it, and
    `oci://REPOSITORY` an image that holds it, which the node pulls: REPOSITORY/NAME:VERSION."""


class Statement(Section):
    """A person's statement for the documents."""

    text: Annotated[str, Field(min_length=1)]
    """The statement."""
    author: Annotated[str, Field(min_length=1)]
    """Author of the statement."""
    date: Date
    """Date of the statement."""


class Approval(Section):
    """Approval of a promotion to production by a second person, by environment."""

    local: Literal["none", "required"] = "none"
    """A run on this machine."""
    cluster: Literal["none", "required"] = "required"
    """A run on a cluster, and the monthly retrain."""


class Governance(Section):
    """Facts supplied by people; everything else in the documents is computed."""

    owner: str = UNSTATED
    """Person or team responsible for the model."""
    contact: Address = UNSTATED
    """Address of the owner: e-mail, `https://…` or `tel:…`."""
    approval: Approval = Approval()
    """Approval policy."""
    risk: dict[str, bool | int | str] = {}
    """Answers from which the risk class is computed."""
    statements: dict[str, Statement] = {}
    """Statements by key."""


class Schedule(Section):
    """Schedules of the pipelines, as six-field cron expressions in UTC."""

    retrain: str = "0 0 3 1 * *"
    """Training pipeline."""
    monitor: str = "0 15 * * * *"
    """Monitoring pipeline."""
