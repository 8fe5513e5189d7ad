"""Decisions of people on the agent's actions, by the rules of retrainings: nobody approves an action of their own."""

from datetime import datetime
from typing import Any

from almanac.core.errors import RemediationError
from almanac.core.people import check_person, same_person
from operations.agent.ledger import Step, read_ledger
from operations.journal import Journal
from orchestration.retraining.audit_log import Draft, Entry


def approve(journal: Journal, key: str, *, who: str, why: str) -> Entry:
    """Approve an action by its whole digest.

    Raises:
        RemediationError: unknown, expired, begun, rejected or approved already, proposed by `who`, or carried out by a
            plan whose approval counts.
    """

    def draft(entries: list[Entry]) -> Draft:
        step = _open(journal, entries, key)
        if step.plan is not None:
            command = f"almanac plans approve {journal.use_case} {step.plan}"
            raise RemediationError(f"action {key[:12]}: waits for the approval of its plan; `{command}`")
        if same_person(check_person(who), step.proposal.who):
            raise RemediationError(f"action {key[:12]}: {who} proposed it; somebody else has to approve it")
        if step.approval is not None:
            raise RemediationError(
                f"action {key[:12]}: {step.approval.who} approved it already, in entry {step.approval.number}"
            )
        return Draft("approved", key, who, why, bound(step))

    return journal.write(draft)


def reject(journal: Journal, key: str, *, who: str, why: str) -> Entry:
    """Reject an action for good.

    Raises:
        RemediationError: unknown, expired, begun or rejected already.
    """

    def draft(entries: list[Entry]) -> Draft:
        _open(journal, entries, key)
        return Draft("rejected", key, who, why)

    return journal.write(draft)


def switch(journal: Journal, *, stop: bool, who: str, why: str) -> None:
    """Stop all actions of the agent on a use case, or release them again."""

    def draft(entries: list[Entry]) -> Draft | None:
        stopped = read_ledger(journal.use_case, entries).stopped
        return None if stopped is stop else Draft("stopped" if stop else "released", "", who, why)

    journal.append(draft)


def is_approved(step: Step, now: datetime) -> bool:
    """Return whether a person who did not propose an action has approved it as it is, in time."""
    approval = step.approval
    if approval is None or step.expires <= now or same_person(approval.who, step.proposal.who):
        return False
    return dict(approval.detail) == bound(step)


def bound(step: Step) -> dict[str, Any]:
    """Return the facts that an approval of an action is bound to."""
    return {name: step.proposal.detail[name] for name in ("action", "parameters", "expires")}


def _open(journal: Journal, entries: list[Entry], key: str) -> Step:
    step = read_ledger(journal.use_case, entries).steps.get(key)
    if step is None:
        raise RemediationError(f"action {key[:12]}: no such action; give the whole digest of one that was proposed")
    if step.started is not None:
        raise RemediationError(f"action {key[:12]}: begun already, in entry {step.started.number}")
    if step.state in ("rejected", "failed"):
        raise RemediationError(f"action {key[:12]}: {step.state} already")
    if step.expires <= journal.clock():
        raise RemediationError(f"action {key[:12]}: expired at {step.expires.isoformat(timespec='seconds')}")
    return step
