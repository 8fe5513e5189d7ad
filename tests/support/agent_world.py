"""An agent over a registry of its own, with actions whose effects a test can count, and kills at any entry."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from almanac.core.errors import AgentError
from governance.registry.chain import Chain
from governance.registry.store import Store
from operations.agent import work as module
from operations.agent.actions import ACTIONS, Action, Values
from operations.agent.alarms import Alarm
from operations.agent.evidence import Evidence
from operations.agent.followed import FollowedJournal
from operations.agent.policy import Policy
from operations.agent.site import Site
from operations.agent.work import Work
from operations.journal import Journal, JournalEntry
from orchestration.retraining.audit_log import Draft, Entry
from tests.support.memory_store import MemoryStore

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


class KilledError(BaseException):
    """The end of a process: no `except` of the agent catches it."""


@dataclass
class Effects:
    """A system that actions change: a counter for each key, and a level that can be restored.

    Attributes:
        done: how often each action was carried out, by its key.
        undone: how often each was undone.
        level: of the system; each action raises it by one.
        broken: whether actions are refused.
        cured: whether the next evidence shows no fault any more.
    """

    done: dict[str, int] = field(default_factory=dict)
    undone: dict[str, int] = field(default_factory=dict)
    level: int = 0
    broken: bool = False
    cured: bool = False


class CountedAction(Action):
    """An action on the effects, of any name and risk."""

    inverse = "the level before is set again"

    def __init__(self, name: str, risk: str, effects: Effects, killer: Callable[[str], None]) -> None:
        self.name, self.title, self.risk = name, f"Raise by {name}", risk  # type: ignore[misc,assignment]
        self.effects, self._kill = effects, killer

    def plan(self, site: Site, cause: str) -> Values | None:
        return {"by": 1}

    def observe(self, site: Site, parameters: Values) -> Values:
        return {"level": self.effects.level}

    def do(self, site: Site, parameters: Values, before: Values, key: str) -> Values:
        if self.effects.broken:
            raise AgentError("refused: password=hunter22")
        self._kill("before the effect")
        self.effects.done[key] = self.effects.done.get(key, 0) + 1
        self.effects.level += 1
        self._kill("after the effect")
        return {"level": self.effects.level}

    def done(self, site: Site, parameters: Values, before: Values, key: str) -> bool:
        return key in self.effects.done

    def undo(self, site: Site, parameters: Values, before: Values, key: str) -> None:
        self._kill("before the inverse")
        self.effects.undone[key] = 1
        self.effects.level = before["level"]
        self._kill("after the inverse")


class DyingJournal(FollowedJournal):
    """A journal whose process is killed before or after an entry."""

    def __init__(self, store: Store, killer: Callable[[str], None], clock: Callable[[], datetime]) -> None:
        # Not opened by an address: thousands of entries are written.
        self.store, self.use_case, self.clock, self.killer = store, "demo", clock, killer
        self._chain = Chain(store, "demo", JournalEntry)

    def append(self, propose: Callable[[list[Entry]], Draft | None]) -> Entry | None:
        self.killer("before an entry")
        entry = super().append(propose)
        self.killer("after an entry")
        return entry


@dataclass
class AgentWorld:
    """An agent that can be killed and started again.

    Attributes:
        folder: of registry and runs.
        effects: the system that it acts on.
        evidence: returns the evidence of now.
        policy: the policy.
        now: the present.
    """

    folder: Path
    policy: Policy
    effects: Effects = field(default_factory=Effects)
    figures: dict[str, float] = field(default_factory=lambda: {"service.redis_away": 4.0})
    now: datetime = NOW
    kills: Callable[[str], None] = field(default=lambda where: None)
    store: Store = field(default_factory=MemoryStore)

    @property
    def journal(self) -> Journal:
        """The journal, as another program sees it."""
        return DyingJournal(self.store, lambda where: None, lambda: self.now)

    def start(self, act: bool = True, lines: list[str] | None = None) -> Work:
        """Return the work of a new process."""
        journal = DyingJournal(self.store, lambda where: self.kills(where), lambda: self.now)
        site = Site("demo", self.policy, self.policy.use_cases["demo"], str(self.folder / "registry"), self.folder)
        return Work(site, journal, act, (lines if lines is not None else []).append)

    def alarm(self, started: str = "2026-01-05", name: str = "AlmanacRedisAway", state: str = "firing") -> Alarm:
        """Return an alarm."""
        return Alarm("alertmanager", name, "demo", state, "page", started, "away", {"area": "serving"})

    def gathered(self, site: Site, alarm: Alarm) -> Evidence:
        """Return the evidence of now."""
        cured = dict.fromkeys(self.figures, 0.0)
        return Evidence(alarm.name, cured if self.effects.cured else dict(self.figures))

    def kinds(self) -> list[str]:
        """Return the kinds of the journal's entries."""
        return [entry.kind for entry in self.journal.entries()]

    def later(self, **passed: Any) -> None:
        """Let time pass."""
        self.now += timedelta(**passed)


def policy_of(**more: Any) -> Policy:
    """Return a policy of two actions for the cause `store`."""
    causes = {"store": ["reload_model", "rollback"]}
    return Policy.model_validate({"use_cases": {"demo": {}}, "causes": causes} | more)


@contextmanager
def agent_world(folder: Path, **more: Any) -> Iterator[AgentWorld]:
    """Yield a world in which a safe action `reload_model` and a risky one `rollback` are counted."""
    world = AgentWorld(folder, policy_of(**more))
    counted = {
        name: CountedAction(name, risk, world.effects, lambda where: world.kills(where))
        for name, risk in (("reload_model", "safe"), ("rollback", "risky"))
    }
    with mock.patch.dict(ACTIONS._kinds, counted), mock.patch.object(module, "gather", world.gathered):
        yield world
