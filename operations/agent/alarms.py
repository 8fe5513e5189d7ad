"""Alarms from Alertmanager, from monitoring results and from failed runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from almanac.core.errors import AgentError
from almanac.core.files import canonical_json, sha256_bytes
from operations.agent.redaction import without_secrets

#: Labels that tell one alarm from another and that a diagnosis may need; all others stay outside.
_LABELS = (
    "alertname",
    "job",
    "namespace",
    "service",
    "instance",
    "model",
    "use_case",
    "version",
    "log",
    "store",
    "area",
)
_STATES = ("firing", "resolved")


@dataclass(frozen=True)
class Alarm:
    """An alarm about one use case.

    Attributes:
        source: alertmanager, monitoring or run.
        name: such as AlmanacRedisAway.
        use_case: the use case; empty where the alarm names none.
        state: firing or resolved.
        severity: page, ticket, or another word of the source.
        started: when it began, ISO 8601; two alarms of one name that began at other times are two episodes.
        summary: one line.
        labels: labels that tell it from others.
        path: file that it was read from, for monitoring results and failed runs.
    """

    source: str
    name: str
    use_case: str
    state: str
    severity: str
    started: str
    summary: str
    labels: Mapping[str, str] = field(default_factory=dict)
    path: str = ""

    @property
    def digest(self) -> str:
        """The sha256 of the episode: the same while an alarm fires, and when it resolves."""
        identity = [self.source, self.name, self.use_case, self.started, dict(sorted(self.labels.items()))]
        return sha256_bytes(canonical_json(identity))

    def to_json(self) -> dict[str, Any]:
        """Return the alarm as an entry's detail."""
        own = {"name": self.name, "state": self.state, "severity": self.severity, "source": self.source}
        return {**own, "started": self.started, "labels": dict(self.labels), "path": self.path}

    @classmethod
    def of_entry(cls, use_case: str, why: str, detail: Mapping[str, Any]) -> "Alarm":
        """Return the alarm of a journal's entry."""
        words = {name: str(detail.get(name, "")) for name in ("source", "name", "state", "severity", "started", "path")}
        labels = {str(name): str(value) for name, value in dict(detail.get("labels", {})).items()}
        return cls(**words, use_case=use_case, summary=why, labels=labels)


def from_webhook(payload: Any, known: Mapping[str, str]) -> list[Alarm]:
    """Return the alarms in the body of Alertmanager's webhook, format 4.

    Args:
        payload: the body, parsed.
        known: name of each use case, of each of its models, and of each job or service of its servers -> use case.

    Raises:
        AgentError: not such a body; the field is named.
    """
    if not isinstance(payload, dict) or not isinstance(payload.get("alerts"), list):
        raise AgentError("alerts: missing; expected the body of Alertmanager's webhook, format 4")
    return list(_alerts(payload["alerts"], known))


def _alerts(alerts: list[Any], known: Mapping[str, str]) -> Iterator[Alarm]:
    for at, alert in enumerate(alerts):
        if not isinstance(alert, dict) or not isinstance(alert.get("labels"), dict):
            raise AgentError(f"alerts[{at}].labels: missing; expected an object of labels")
        labels = {name: _line(alert["labels"][name]) for name in _LABELS if name in alert["labels"]}
        state = alert.get("status")
        if state not in _STATES:
            raise AgentError(f"alerts[{at}].status: {state!r}; expected firing or resolved")
        if "alertname" not in labels:
            raise AgentError(f"alerts[{at}].labels.alertname: missing")
        notes = alert.get("annotations") or {}
        summary = notes.get("summary", "") if isinstance(notes, dict) else ""
        yield Alarm(
            source="alertmanager",
            name=labels.pop("alertname")[:100],
            use_case=_use_case(labels, known),
            state=state,
            severity=_line(alert["labels"].get("severity", ""))[:20],
            started=_line(alert.get("startsAt", ""))[:40],
            summary=_line(summary)[:300],
            labels=labels,
        )


def _line(value: Any) -> str:
    """Return a value as one line, which cannot pass for several of the agent's own."""
    return " ".join(without_secrets(str(value)).split())


def _use_case(labels: Mapping[str, str], known: Mapping[str, str]) -> str:
    """Return the use case of an alarm: by its own label, its model, its server, or the only one there is."""
    for name in ("use_case", "model", "service", "job", "instance"):
        if (found := known.get(labels.get(name, ""))) is not None:
            return found
    names = set(known.values())
    return names.pop() if len(names) == 1 and "use_case" not in labels else ""
