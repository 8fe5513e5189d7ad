"""The agent: it notes alarms as they arrive, and works on every use case in turn."""

import fcntl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from almanac.core.errors import AgentError, AlmanacError
from operations.agent.alarms import from_webhook
from operations.agent.policy import Policy
from operations.agent.redaction import without_secrets
from operations.agent.watch import found
from operations.agent.work import Work

#: Looks that may fail or be late before the agent calls itself unhealthy.
_LATE = 10.0


class Agent:
    """The agent over all use cases of a policy.

    Args:
        policy: the policy.
        works: the work on each use case, by name.
        say: told of every step in a line.
    """

    def __init__(self, policy: Policy, works: dict[str, Work], say: Callable[[str], None]) -> None:
        self.policy, self.works, self._say = policy, works, say
        self._news, self._stopping = threading.Event(), threading.Event()
        self._looked = dict.fromkeys(works, time.monotonic())
        self._known = _known(policy)
        self._told: dict[str, str] = {}

    @property
    def healthy(self) -> bool:
        """Whether each use case was looked at lately, or has an action under way, as a retraining for an hour."""
        late = time.monotonic() - _LATE * self.policy.watch_seconds - 60
        return all(looked > late or self.works[name].executing for name, looked in self._looked.items())

    def receive(self, payload: Any) -> int:
        """Note the alarms of a webhook's body, and return how many are about a use case of the policy.

        Raises:
            AgentError: not such a body.
            AlmanacError: the journal cannot be written; the sender then sends them again.
        """
        mine = [alarm for alarm in from_webhook(payload, self._known) if alarm.use_case in self.works]
        for alarm in mine:
            self.works[alarm.use_case].note(alarm)
        self._news.set()
        return len(mine)

    def run(self) -> None:
        """Work until `stop`, at every alarm at once and otherwise in the policy's rhythm."""
        threads = [threading.Thread(target=self._follow, args=(name,), name=name) for name in self.works]
        # A Kubeflow that does not answer keeps nobody from an action.
        asked = [name for name, work in self.works.items() if work.site.kubeflow is not None]
        threads += [threading.Thread(target=self._follow_kubeflow, args=(name,), name=f"{name} runs") for name in asked]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def stop(self) -> None:
        """Let `run` end after the step that each use case is in."""
        self._stopping.set()
        self._news.set()

    def look(self, name: str) -> None:
        """Look at one use case: scrape, note the alarms of its runs, and do all that can be done."""
        work = self.works[name]
        if work.site.settings.server is not None:
            work.site.scrapes.add(work.site.scrape())
        for alarm in list(found(work.site, work.ledger(), work.journal.clock(), self._say)):
            work.note(alarm)
        work.advance()

    def ask_kubeflow(self, name: str) -> None:
        """Publish the failed runs of one use case on its Kubeflow, if it has one; the next look finds them."""
        error = ""
        try:
            self.works[name].site.publish_failures()
        except (AlmanacError, OSError) as problem:
            error = f"{name}: failed runs on Kubeflow are not seen: {without_secrets(str(problem))}"
        # Once for an outage, which may last the night.
        if error not in ("", self._told.get(name)):
            self._say(error)
        self._told[name] = error

    def _follow_kubeflow(self, name: str) -> None:
        while not self._stopping.is_set():
            self.ask_kubeflow(name)
            self._stopping.wait(self.policy.watch_seconds)

    def _follow(self, name: str) -> None:
        # Use cases do not wait for each other: a retraining takes minutes.
        seen, due = "", 0.0
        while not self._stopping.is_set():
            work = self.works[name]
            try:
                head = work.journal.head()
                if head != seen or time.monotonic() >= due:
                    self.look(name)
                    # Not the head of now, which may be an alarm that came during the look.
                    seen, due = head, time.monotonic() + self.policy.watch_seconds
                self._looked[name] = time.monotonic()
            except (AlmanacError, OSError) as error:
                self._say(f"{name}: {without_secrets(str(error))}")
                due = time.monotonic() + self.policy.watch_seconds
            # The journal's head is a small read, and tells of alarms and approvals of other programs as well.
            self._stopping.wait(min(1.0, self.policy.watch_seconds))


def _known(policy: Policy) -> dict[str, str]:
    """Return the use case of each name that an alarm's labels may have."""
    known = {}
    for name, settings in policy.use_cases.items():
        known[name] = name
        if settings.server is not None and settings.server.model:
            known[settings.server.model] = name
        if settings.service is not None:
            known[settings.service.name] = name
    return known


@contextmanager
def only_one(state: Path) -> Iterator[None]:
    """Hold the lock of a state directory: two agents over one registry would share every action.

    Raises:
        AgentError: another agent holds it, or the directory cannot be written.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = open(state / "lock", "w")  # noqa: SIM115  (held as long as the agent runs)
    except OSError as error:
        raise AgentError(f"--state {state}: cannot be written ({error.strerror})") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AgentError(f"--state {state}: another agent runs on it") from None
        yield
