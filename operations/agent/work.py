"""The work on one use case: from an alarm to a verified action, with an entry of the journal before each step."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from almanac.core.errors import AlmanacError
from operations.agent.actions import ACTIONS, Action
from operations.agent.alarms import Alarm
from operations.agent.approvals import is_approved
from operations.agent.causes import CAUSES
from operations.agent.diagnosis import diagnose, is_gone, sentence
from operations.agent.evidence import Evidence
from operations.agent.evidence.gather import gather
from operations.agent.ledger import ENDED, Episode, Ledger, Step, key_of, read_ledger
from operations.agent.redaction import without_secrets
from operations.agent.site import Site
from operations.journal import Journal
from orchestration.retraining.audit_log import Draft, Entry

#: Causes that an entry names, the most likely first.
_NAMED = 3
Say = Callable[[str], None]


class Work:
    """The agent's work on one use case.

    Args:
        site: the use case.
        journal: its journal.
        act: whether actions are executed; without it they are only told.
        say: told of every step in a line.

    Attributes:
        executing: whether an action is being executed now.
    """

    def __init__(self, site: Site, journal: Journal, act: bool, say: Say = lambda line: None) -> None:
        self.site, self.journal, self.act, self.say = site, journal, act, say
        self.executing = False
        self._told: set[str] = set()

    def note(self, alarm: Alarm) -> None:
        """Write an alarm to the journal, unless its state is the one that the journal has."""
        digest = alarm.digest

        def draft(entries: list[Entry]) -> Draft | None:
            known = [entry for entry in entries if entry.kind == "alarm" and entry.plan == digest]
            # The end of an alarm that nobody saw begin is no news.
            if alarm.state == (known[-1].detail.get("state") if known else "resolved"):
                return None
            return Draft("alarm", digest, alarm.source, alarm.summary or alarm.name, alarm.to_json())

        if self.journal.append(draft) is not None:
            self.say(f"{self.site.use_case}: {alarm.name} is {alarm.state}")

    def advance(self) -> None:
        """Do everything that can be done now."""
        while self._once():
            pass

    def _once(self) -> bool:
        """Do the next step of the oldest episode that has one; return whether there was any."""
        ledger = self.ledger()
        return any(self._step(ledger, episode) for episode in ledger.episodes.values())

    def ledger(self) -> Ledger:
        """Return the ledger as the journal is now."""
        return read_ledger(self.site.use_case, self.journal.entries())

    def _step(self, ledger: Ledger, episode: Episode) -> bool:
        for step in episode.steps:
            if step.state not in ENDED:
                return self._continue(ledger, episode, step)
        if episode.diagnosis is None:
            return not episode.resolved and self._diagnose(episode)
        if episode.resolved or episode.gave_up or _helped(episode):
            return False
        return self._decide(ledger, episode)

    def _diagnose(self, episode: Episode) -> bool:
        evidence = self.site.evidence = gather(self.site, episode.alarm)
        found = diagnose(evidence)
        named = [each for each in found[:_NAMED] if each.signs]
        detail = {
            "causes": [each.to_json() for each in named],
            "evidence": evidence.to_json(),
            "dry_run": not self.act,
        }
        why = sentence(named, self.site.policy.confidence)
        self._append(
            lambda now: now.episodes[episode.digest].diagnosis is None, "diagnosed", episode.digest, why, detail
        )
        self.say(f"{self.site.use_case}: {episode.alarm.name}: {why}")
        return True

    def _decide(self, ledger: Ledger, episode: Episode) -> bool:
        """Propose the next action of the most likely cause, or give up."""
        causes = [each for each in episode.causes(self.site.policy.confidence) if each[0] in CAUSES]
        assert episode.diagnosis is not None
        self.site.evidence = Evidence.of_json(episode.diagnosis.detail["evidence"])
        tried = {step.action for step in episode.steps}
        limits = []
        for cause, confidence in causes:
            for name in self.site.policy.causes.get(cause, []):
                if name in tried:
                    continue
                if ledger.executions(name, self.journal.clock()) >= self.site.policy.per_day(name):
                    limits.append(f"{name}: its limit for a day is reached")
                    continue
                if not self.act:
                    return self._tell(episode, f"would take the action {name}, which is {self.site.policy.risk(name)}")
                try:
                    parameters = ACTIONS[name].plan(self.site, cause)
                except AlmanacError as error:
                    limits.append(f"{name}: {without_secrets(str(error))}")
                    continue
                if parameters is not None:
                    return self._propose(episode, ACTIONS[name], cause, confidence, parameters)
        if not self.act:
            return self._tell(episode, "would do nothing")
        return self._give_up(episode, causes, limits)

    def _propose(
        self, episode: Episode, action: Action, cause: str, confidence: float, parameters: dict[str, Any]
    ) -> bool:
        policy, key = self.site.policy, key_of(self.site.use_case, action.name, parameters, episode.digest)
        detail = {
            "action": action.name,
            "parameters": parameters,
            "cause": cause,
            "confidence": confidence,
            "alarm": episode.digest,
            "risk": policy.risk(action.name),
            "inverse": action.inverse,
            "expires": (self.journal.clock() + policy.approval_lifetime).isoformat(timespec="seconds"),
        }
        why = f"{action.title}: {CAUSES[cause].title.lower()}, confidence {confidence:.0%}"
        self._append(lambda ledger: key not in ledger.steps, "proposed", key, why, detail)
        asks = "; waits for an approval" if policy.risk(action.name) == "risky" else ""
        self.say(f"{self.site.use_case}: proposed {action.name} {key[:12]}{asks}")
        return True

    def _give_up(self, episode: Episode, causes: list[tuple[str, float]], limits: list[str]) -> bool:
        if not causes:
            why = "no cause is likely enough to act on"
        elif limits:
            why = f"nothing is left to do: {'; '.join(limits)}"
        else:
            why = f"the policy has nothing more to do for {causes[0][0]}"
        self._append(lambda ledger: not ledger.episodes[episode.digest].gave_up, "gave_up", episode.digest, why, {})
        self.say(f"{self.site.use_case}: {episode.alarm.name}: gave up, {why}")
        return True

    def _tell(self, episode: Episode, what: str) -> bool:
        if episode.digest not in self._told:
            self._told.add(episode.digest)
            self.say(f"{self.site.use_case}: {episode.alarm.name}: {what}")
        return False

    def _continue(self, ledger: Ledger, episode: Episode, step: Step) -> bool:
        if not self.act:
            return False
        if step.state in ("proposed", "approved"):
            if step.started is None and episode.resolved:
                return self._close(step, "the alarm has ended by itself")
            if step.expires <= self.journal.clock():
                return self._close(step, "nobody approved it in time")
            return self._may_start(ledger, step) and self._begin(step)
        if step.state == "started":
            return self._execute(step)
        if step.state == "finished":
            return self._verify(episode, step)
        return self._undo(step)

    def _close(self, step: Step, why: str) -> bool:
        return self._append(_in_state(step, "proposed", "approved"), "rejected", step.key, why, {})

    def _may_start(self, ledger: Ledger, step: Step) -> bool:
        """Return whether an action may be begun now; every rule is asked again with the entry that begins it."""
        policy, now = self.site.policy, self.journal.clock()
        if policy.stop or ledger.stopped or policy.quiet(step.action, now) or step.expires <= now:
            return False
        if ledger.executions(step.action, now) >= policy.per_day(step.action):
            return False
        # Risky by either: a policy that became stricter since holds for what was proposed before.
        if "risky" in (step.risk, policy.risk(step.action), ACTIONS[step.action].risk):
            elsewhere = ACTIONS[step.action].approved(self.site, step.parameters)
            return is_approved(step, now) if elsewhere is None else elsewhere
        return True

    def _begin(self, step: Step) -> bool:
        try:
            before = ACTIONS[step.action].observe(self.site, step.parameters)
        except AlmanacError as error:
            return self._fail(step, error)

        def free(ledger: Ledger) -> bool:
            now = ledger.steps[step.key]
            return now.started is None and now.state in ("proposed", "approved") and self._may_start(ledger, now)

        why = step.approval.why if step.approval else "by the policy"
        detail = {"before": before} | ({"approval": step.approval.number} if step.approval else {})
        return self._append(free, "started", step.key, why, detail)

    def _execute(self, step: Step) -> bool:
        """Execute an action whose intent the journal has; one that was interrupted and has worked is only noted."""
        action, arguments = ACTIONS[step.action], (self.site, step.parameters, step.before, step.key)
        self.executing = True
        try:
            resumed = action.done(*arguments)
            result = {"resumed": True, **action.recall(*arguments[:2])} if resumed else action.do(*arguments)
        except AlmanacError as error:
            return self._fail(step, error)
        finally:
            self.executing = False
        self._append(_in_state(step, "started"), "finished", step.key, action.title, result)
        self.say(f"{self.site.use_case}: finished {step.action} {step.key[:12]}")
        return True

    def _fail(self, step: Step, error: AlmanacError) -> bool:
        why = without_secrets(str(error))
        self._append(_in_state(step, "proposed", "approved", "started"), "failed", step.key, why, {})
        self.say(f"{self.site.use_case}: {step.action} {step.key[:12]} failed: {why}")
        return True

    def _verify(self, episode: Episode, step: Step) -> bool:
        """Note that an action has helped, or undo one that has not within its time."""
        action = ACTIONS[step.action]
        assert step.ended is not None
        try:
            if action.going_on(self.site, step.result):
                return False
        except AlmanacError as error:
            # A cluster that does not answer now may do so later; a run that nobody can ask for is given up some day.
            if self.journal.clock() < step.ended.time + self.site.policy.approval_lifetime:
                return self._tell(episode, f"{step.action} {step.key[:12]}: {without_secrets(str(error))}")
        try:
            helped = action.helped(self.site, step.result)
            if helped is None:
                helped = episode.resolved or is_gone(gather(self.site, episode.alarm), step.cause)
        except AlmanacError:
            helped = False
        if helped:
            self._append(_in_state(step, "finished"), "verified", step.key, "it helped", {"helped": True})
            self.say(f"{self.site.use_case}: {step.action} {step.key[:12]} helped")
            return True
        if self.journal.clock() < step.ended.time + timedelta(seconds=self.site.policy.verify_seconds):
            return False
        if action.reversible:
            return self._append(_in_state(step, "finished"), "undoing", step.key, "it did not help", {})
        why = f"it did not help, and has no inverse ({action.inverse})"
        return self._append(_in_state(step, "finished"), "failed", step.key, why, {})

    def _undo(self, step: Step) -> bool:
        try:
            ACTIONS[step.action].undo(self.site, step.parameters, step.before, step.key)
        except AlmanacError as error:
            why = f"it did not help, and could not be undone: {without_secrets(str(error))}"
            self._append(_in_state(step, "undoing"), "failed", step.key, why, {})
            return True
        self._append(_in_state(step, "undoing"), "undone", step.key, "it did not help", {})
        self.say(f"{self.site.use_case}: {step.action} {step.key[:12]} did not help and is undone")
        return True

    def _append(
        self, holds: Callable[[Ledger], bool], kind: str, subject: str, why: str, detail: dict[str, Any]
    ) -> bool:
        """Write an entry if a condition holds for the entries that it follows; return whether it was written."""

        def draft(entries: list[Entry]) -> Draft | None:
            if not holds(read_ledger(self.site.use_case, entries)):
                return None
            return Draft(kind, subject, self.site.policy.name, why, detail)

        return self.journal.append(draft) is not None


def _in_state(step: Step, *states: str) -> Callable[[Ledger], bool]:
    return lambda ledger: ledger.steps[step.key].state in states


def _helped(episode: Episode) -> bool:
    """Return whether an action has helped; one that cannot mend the cause does not count."""
    return any(step.state == "verified" and ACTIONS[step.action].mends for step in episode.steps)
