"""The policy of the agent: a YAML file that says which actions follow which causes, and within which bounds."""

from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from almanac.core.errors import AgentError
from almanac.usecase.types import Section
from operations.agent.actions import ACTIONS
from operations.agent.causes import CAUSES
from operations.settings_file import read_settings

_CLOCK = "%H:%M"


def _address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an http or https address")
    if "@" in parts.netloc or parts.query:
        raise ValueError("holds a user, a password or options; give a key by key_file")
    return text.rstrip("/")


def _action(name: str) -> str:
    if name not in ACTIONS:
        raise ValueError(ACTIONS.unknown(name))
    return name


def _cause(name: str) -> str:
    if name not in CAUSES:
        raise ValueError(CAUSES.unknown(name))
    return name


def _time(value: Any) -> Any:
    try:
        return datetime.strptime(value, _CLOCK).time()
    # YAML reads 22:00 without quotes as the number 1320.
    except (TypeError, ValueError):
        raise ValueError('expected hours and minutes in quotes, such as "22:00"') from None


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("expected the name of a time zone, such as Europe/Berlin") from None
    return name


Address = Annotated[str, AfterValidator(_address)]
ActionName = Annotated[str, AfterValidator(_action)]
CauseName = Annotated[str, AfterValidator(_cause)]
Clock = Annotated[time, BeforeValidator(_time)]
Positive = Annotated[float, Field(gt=0)]


class Server(Section):
    """A running model server."""

    url: Address
    """Its address."""
    key_file: str | None = None
    """File with a key of the scope admin; it is read when the server is asked, and kept nowhere."""
    model: str | None = None
    """Name of one of its models; the use case's when absent."""


class Service(Section):
    """An InferenceService, and how far it may be scaled."""

    namespace: str
    """Its namespace."""
    name: str
    """Its name."""
    lowest: Annotated[int, Field(ge=0)] = 1
    """Fewest replicas."""
    highest: Annotated[int, Field(ge=1)]
    """Most replicas."""

    @model_validator(mode="after")
    def _in_order(self) -> "Service":
        if self.highest < self.lowest:
            raise ValueError(f"highest: {self.highest} is below lowest, {self.lowest}")
        return self


class Schedules(Section):
    """Schedules of pipelines on a Kubeflow; its token is read from the environment as `almanac schedule` does."""

    host: Address
    """Address of Kubeflow Pipelines."""
    names: Annotated[list[str], Field(min_length=1)]
    """Names of the schedules that may be paused."""
    namespace: str | None = None
    """The profile in a Kubeflow of several users; in a pod its own namespace when absent."""


class Training(Section):
    """A Kubeflow on which a use case is trained again; its token is read from the environment as `submit` does."""

    host: Address
    """Address of Kubeflow Pipelines."""
    base: str = ""
    """Directory or URL of file sources as the cluster's pods see it."""
    namespace: str | None = None
    """The profile in a Kubeflow of several users; in a pod its own namespace when absent."""


class UseCaseSettings(Section):
    """A use case that the agent looks after."""

    file: str | None = None
    """Use case file; needed for figures of its tables and for retrainings."""
    server: Server | None = None
    """The server that serves it."""
    history: str | None = None
    """Parquet file that the server's history is seeded from."""
    figures: str | None = None
    """Directory of an exporter, whose limits a change of thresholds edits."""
    service: Service | None = None
    """Its InferenceService."""
    schedules: Schedules | None = None
    """Its schedules."""
    training: Training | None = None
    """Where it is trained again; on the agent's own machine when absent."""


class ActionSettings(Section):
    """Bounds of one action."""

    risk: Literal["safe", "risky"] | None = None
    """A safe action may be made risky, so that it asks first; a risky one is never made safe."""
    per_day: Annotated[int, Field(ge=0)] = 3
    """Most executions in 24 hours for each use case; 0 forbids the action."""


class QuietHours(Section):
    """Hours in which only some actions are begun; the others wait for their end."""

    begin: Clock
    """When they begin."""
    end: Clock
    """When they end; before `begin` for hours over midnight."""
    zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    """Time zone of both."""
    allowed: list[ActionName] = []
    """Actions that are begun nevertheless."""

    def holds(self, now: datetime) -> bool:
        """Return whether a moment is in the quiet hours."""
        clock = now.astimezone(ZoneInfo(self.zone)).time()
        if self.begin <= self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end


class Policy(Section):
    """The policy of the agent."""

    name: Annotated[str, Field(min_length=1, max_length=100)] = "almanac-agent"
    """Name under which it proposes and acts; nobody of this name can approve."""
    use_cases: Annotated[dict[str, UseCaseSettings], Field(min_length=1)]
    """The use cases it looks after, by name."""
    causes: dict[CauseName, list[ActionName]]
    """For each cause the actions to try, in this order; a cause that is absent is only reported."""
    actions: dict[ActionName, ActionSettings] = {}
    """Bounds of single actions."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Least confidence in a cause that is acted on."""
    quiet_hours: QuietHours | None = None
    """Hours in which the agent holds back."""
    stop: bool = False
    """Stops all actions; `almanac agent stop` does the same for one use case, without a restart."""
    verify_seconds: Positive = 120.0
    """How long an action may take to help; what has not helped by then is undone."""
    approval_hours: Positive = 72.0
    """How long a risky action waits for its approval."""
    watch_seconds: Positive = 15.0
    """Time between two looks at servers, runs and the journal."""
    log_seconds: Positive = 900.0
    """How long a raised log level holds."""
    threshold_factor: Annotated[float, Field(gt=1, le=2)] = 1.25
    """Factor of a change of thresholds."""

    @model_validator(mode="after")
    def _no_risk_is_taken_away(self) -> "Policy":
        for name, settings in self.actions.items():
            if settings.risk == "safe" and ACTIONS[name].risk == "risky":
                raise ValueError(f"actions.{name}.risk: safe; it is risky, and asks first whatever a policy says")
        return self

    def risk(self, action: str) -> str:
        """Return whether an action is safe or risky."""
        settings = self.actions.get(action)
        return (settings.risk if settings else None) or ACTIONS[action].risk

    def per_day(self, action: str) -> int:
        """Return how often an action may be executed in 24 hours."""
        return (self.actions.get(action) or ActionSettings()).per_day

    def quiet(self, action: str, now: datetime) -> bool:
        """Return whether an action has to wait for the end of the quiet hours."""
        hours = self.quiet_hours
        return hours is not None and action not in hours.allowed and hours.holds(now)

    @property
    def approval_lifetime(self) -> timedelta:
        """How long a risky action waits for its approval."""
        return timedelta(hours=self.approval_hours)


def read_policy(path: Path) -> Policy:
    """Return the policy in a file.

    Raises:
        AgentError: it cannot be read, or breaks a rule; each field is named with what would be right.
    """
    return read_settings(path, Policy, AgentError)
