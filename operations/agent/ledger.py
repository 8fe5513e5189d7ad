"""The journal as the agent reads it: episodes of alarms, and the state of each action."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from almanac.core.files import canonical_json, sha256_bytes
from operations.agent.alarms import Alarm
from orchestration.retraining.audit_log import Entry

#: States after which nothing more happens to an action.
ENDED = ("verified", "undone", "failed", "rejected")
_STEPS = (
    *("proposed", "approved", "rejected", "started", "finished", "failed", "verified"),
    *("undoing", "undone"),
)


def key_of(use_case: str, action: str, parameters: Mapping[str, Any], alarm: str) -> str:
    """Return the digest of an action: the same action for the same episode has one key, and is done once."""
    return sha256_bytes(canonical_json([use_case, action, dict(parameters), alarm]))


@dataclass
class Step:
    """An action of an episode.

    Attributes:
        key: its digest.
        proposal: entry that proposed it.
        state: kind of its newest entry.
        approval: entry that approved it, None without.
        started: entry of the intent, None before it.
        ended: entry that says how the execution ended: finished or failed.
    """

    key: str
    proposal: Entry
    state: str = "proposed"
    approval: Entry | None = None
    started: Entry | None = None
    ended: Entry | None = None

    @property
    def action(self) -> str:
        """Name of the action."""
        return str(self.proposal.detail["action"])

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the action."""
        return dict(self.proposal.detail["parameters"])

    @property
    def cause(self) -> str:
        """Name of the cause that it is for."""
        return str(self.proposal.detail["cause"])

    @property
    def risk(self) -> str:
        """Whether it is safe or risky, as it was when it was proposed."""
        return str(self.proposal.detail["risk"])

    @property
    def expires(self) -> datetime:
        """When its approval is too late."""
        return datetime.fromisoformat(str(self.proposal.detail["expires"]))

    @property
    def plan(self) -> str | None:
        """Digest of the plan of a retraining whose approval counts for the action; None where its own counts."""
        return self.parameters.get("plan")

    @property
    def waits(self) -> bool:
        """Whether it waits for an approval of its own."""
        return self.state == "proposed" and self.risk == "risky" and self.plan is None

    @property
    def before(self) -> dict[str, Any]:
        """Values observed before it was begun."""
        return dict(self.started.detail["before"]) if self.started else {}

    @property
    def result(self) -> dict[str, Any]:
        """Facts of its execution."""
        return dict(self.ended.detail) if self.ended else {}


@dataclass
class Episode:
    """An alarm from its beginning to its end, with its diagnosis and its actions."""

    alarm: Alarm
    when: datetime
    resolved: bool = False
    diagnosis: Entry | None = None
    steps: list[Step] = field(default_factory=list)
    gave_up: bool = False

    @property
    def digest(self) -> str:
        """The sha256 of the alarm's episode."""
        return self.alarm.digest

    def causes(self, least: float) -> list[tuple[str, float]]:
        """Return the diagnosed causes with a confidence of at least `least`, the most likely first."""
        causes = self.diagnosis.detail.get("causes", []) if self.diagnosis else []
        return [(each["cause"], each["confidence"]) for each in causes if each["confidence"] >= least]


@dataclass
class Ledger:
    """Everything that the journal of one use case says about alarms and actions."""

    episodes: dict[str, Episode] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    stopped: bool = False

    def executions(self, action: str, now: datetime) -> int:
        """Return how often an action was begun in the last 24 hours."""
        day = now - timedelta(days=1)
        begun = [step.started for step in self.steps.values() if step.action == action and step.started]
        return sum(entry.time > day for entry in begun)


def read_ledger(use_case: str, entries: Iterable[Entry]) -> Ledger:
    """Return the ledger of a journal's entries, oldest first."""
    ledger = Ledger()
    for entry in entries:
        if entry.kind == "alarm":
            _alarm(ledger, use_case, entry)
        elif entry.kind == "diagnosed" and entry.plan in ledger.episodes:
            ledger.episodes[entry.plan].diagnosis = entry
        elif entry.kind == "gave_up" and entry.plan in ledger.episodes:
            ledger.episodes[entry.plan].gave_up = True
        elif entry.kind in ("stopped", "released"):
            ledger.stopped = entry.kind == "stopped"
        elif entry.kind in _STEPS:
            _step(ledger, entry)
    return ledger


def _alarm(ledger: Ledger, use_case: str, entry: Entry) -> None:
    known = ledger.episodes.get(entry.plan)
    resolved = entry.detail.get("state") == "resolved"
    if known is not None:
        known.resolved = resolved
    # Alarms that other programs have noted have no episode, as the agent cannot tell when they end.
    elif "source" in entry.detail:
        alarm = Alarm.of_entry(use_case, entry.why, entry.detail)
        ledger.episodes[entry.plan] = Episode(alarm, entry.time, resolved)


def _step(ledger: Ledger, entry: Entry) -> None:
    if entry.kind == "proposed":
        if entry.plan not in ledger.steps and "action" in entry.detail:
            step = ledger.steps[entry.plan] = Step(entry.plan, entry)
            episode = ledger.episodes.get(str(entry.detail.get("alarm", "")))
            if episode is not None:
                episode.steps.append(step)
        return
    found = ledger.steps.get(entry.plan)
    if found is None:
        return
    found.state = entry.kind
    if entry.kind == "approved":
        found.approval = entry
    elif entry.kind == "started":
        found.started = entry
    elif entry.kind in ("finished", "failed"):
        found.ended = entry
