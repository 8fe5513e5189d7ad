"""The rules of the remediation: who may approve what, and when a plan may be executed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from almanac.core.errors import AlmanacError, RemediationError
from almanac.usecase import UseCase, digest
from almanac.usecase.types import to_timedelta
from orchestration.retraining.audit_log import Draft, Entry, Ledger
from orchestration.retraining.plan import Observed, Plan

_ENDS = ("finished", "failed")


def propose(ledger: Ledger, plan: Plan, usecase: UseCase) -> Plan | None:
    """Write a plan to the log, and return the one that now stands.

    A plan that is open for the same state and use case file stands already, so that an hourly pipeline asks once; one
    of an earlier file could not be executed any more. None comes back where a plan was executed or rejected less than
    a rest ago: the data must first have had the time to change.
    """
    standing: list[Plan] = []
    purpose = (plan.use_case_digest, plan.observed)

    def draft(entries: list[Entry]) -> Draft | None:
        still_open = open_plans(entries, ledger.clock())
        standing[:] = [each for each in still_open if (each.use_case_digest, each.observed) == purpose]
        if standing or _resting(entries, usecase, ledger.clock(), ("started", "rejected")):
            return None
        standing[:] = [plan]
        detail = {"plan": plan.model_dump(mode="json")}
        return Draft("proposed", plan.digest, plan.proposer, "; ".join(plan.reasons) or "by policy", detail)

    ledger.append(draft)
    return standing[0] if standing else None


def approve(ledger: Ledger, plan: str, *, who: str, why: str) -> Entry:
    """Approve a plan by its whole digest.

    Raises:
        RemediationError: unknown, altered, expired, rejected, approved or executed already, or proposed by `who`.
    """

    def draft(entries: list[Entry]) -> Draft:
        found = find(entries, plan)
        _still_open(entries, found, ledger.clock())
        if found.proposer == who:
            raise RemediationError(f"plan {plan[:12]}: {who} proposed it; somebody else has to approve it")
        if earlier := _about(entries, plan, "approved"):
            raise RemediationError(
                f"plan {plan[:12]}: {earlier[0].who} approved it already, in entry {earlier[0].number}"
            )
        bound = {"observed": found.observed.model_dump(), "expires": found.expires.isoformat()}
        return Draft("approved", plan, who, why, bound)

    entry = ledger.append(draft)
    assert entry is not None
    return entry


def reject(ledger: Ledger, plan: str, *, who: str, why: str) -> Entry:
    """Reject a plan for good."""

    def draft(entries: list[Entry]) -> Draft:
        _still_open(entries, find(entries, plan), ledger.clock())
        return Draft("rejected", plan, who, why)

    entry = ledger.append(draft)
    assert entry is not None
    return entry


def switch(ledger: Ledger, *, stop: bool, who: str, why: str) -> None:
    """Stop all remediation of the use case, or release it again."""

    def draft(entries: list[Entry]) -> Draft | None:
        return None if stopped(entries) is stop else Draft("stopped" if stop else "released", "", who, why)

    ledger.append(draft)


def execute(
    ledger: Ledger,
    plan: str,
    usecase: UseCase,
    *,
    who: str,
    observe: Callable[[], Observed],
    start: Callable[[UseCase], dict[str, Any]],
    resume: bool = False,
) -> dict[str, Any]:
    """Execute a plan, once; every rule is checked again in the moment of its execution.

    Args:
        ledger: the log.
        plan: the plan's digest.
        usecase: the use case as it was when the plan was made.
        who: who executes.
        observe: returns the state now.
        start: starts the training of a use case and returns what to write down of it.
        resume: go on with an execution that was cut off; without it such a plan is refused.

    Raises:
        RemediationError: stopped, not approved, expired, executed already, another state, or too soon after another.
    """
    made: list[Plan] = []

    def draft(entries: list[Entry]) -> Draft | None:
        made[:] = [find(entries, plan)]
        begun = _about(entries, plan, "started")
        if begun and not _about(entries, plan, *_ENDS) and resume:
            _may_run(entries, usecase)
            return None
        _may_start(entries, made[0], usecase, ledger.clock(), observe())
        approval = _about(entries, plan, "approved")
        return Draft("started", plan, who, "by policy" if not approval else approval[0].why, _consumed(approval))

    ledger.append(draft)
    try:
        outcome = start(made[0].action.apply(usecase))
    except AlmanacError as error:
        failed = Draft("failed", plan, who, str(error))
        ledger.append(lambda _: failed)
        raise
    ledger.append(lambda _: Draft("finished", plan, who, str(outcome.get("result", "started")), outcome))
    return outcome


def find(entries: list[Entry], plan: str) -> Plan:
    """Return the plan of that digest.

    Raises:
        RemediationError: unknown, or altered after it was proposed.
    """
    for entry in entries:
        if entry.kind == "proposed" and entry.plan == plan:
            found = Plan.model_validate(entry.detail["plan"])
            if found.digest != plan:
                raise RemediationError(f"plan {plan[:12]}: altered; its digest is {found.digest[:12]}…")
            return found
    raise RemediationError(f"plan {plan[:12]}: no such plan in the log; give the whole digest of one that was proposed")


def open_plans(entries: list[Entry], now: datetime) -> list[Plan]:
    """Return the plans that may still be approved or executed."""
    found = [find(entries, entry.plan) for entry in entries if entry.kind == "proposed"]
    closed = ("started", "rejected", *_ENDS)
    return [plan for plan in found if plan.expires > now and not _about(entries, plan.digest, *closed)]


def stopped(entries: list[Entry]) -> bool:
    """Return whether all remediation of the use case is stopped."""
    switches = [entry.kind for entry in entries if entry.kind in ("stopped", "released")]
    return bool(switches) and switches[-1] == "stopped"


def rest(usecase: UseCase) -> timedelta:
    """Return the least time between two executions: a window's share of what the policy looks at."""
    return to_timedelta(usecase.drift.window) / usecase.drift.policy.of


def _about(entries: list[Entry], plan: str, *kinds: str) -> list[Entry]:
    return [entry for entry in entries if entry.plan == plan and entry.kind in kinds]


def _consumed(approval: list[Entry]) -> dict[str, Any]:
    return {"approval": approval[0].number, "approval_digest": approval[0].digest} if approval else {}


def _still_open(entries: list[Entry], plan: Plan, now: datetime) -> None:
    name = f"plan {plan.digest[:12]}"
    if used := _about(entries, plan.digest, "started"):
        raise RemediationError(f"{name}: executed already, in entry {used[0].number}; a plan is used once")
    if closed := _about(entries, plan.digest, "rejected"):
        raise RemediationError(f"{name}: {closed[0].who} rejected it, in entry {closed[0].number}")
    if plan.expires <= now:
        raise RemediationError(
            f"{name}: expired at {plan.expires.isoformat(timespec='seconds')}; the next breach gives a new one"
        )


def _may_run(entries: list[Entry], usecase: UseCase) -> None:
    if stopped(entries):
        raise RemediationError(f"{usecase.name}: remediation is stopped; release it first")


def _may_start(entries: list[Entry], plan: Plan, usecase: UseCase, now: datetime, seen: Observed) -> None:
    name = f"plan {plan.digest[:12]}"
    _may_run(entries, usecase)
    _still_open(entries, plan, now)
    if usecase.drift.policy.action == "ask":
        _check_approval(_about(entries, plan.digest, "approved"), plan)
    if digest(usecase) != plan.use_case_digest:
        raise RemediationError(f"{name}: made for another use case file; its digest is {plan.use_case_digest[:12]}…")
    if seen != plan.observed:
        raise RemediationError(
            f"{name}: made when version {plan.observed.production} stood in production at registry event "
            f"{plan.observed.registry[:12]}…; the state is another now, version {seen.production}"
        )
    if _resting(entries, usecase, now, ("started",)):
        raise RemediationError(f"{name}: another plan was executed less than {rest(usecase)} ago; the rate is limited")


def _check_approval(approvals: list[Entry], plan: Plan) -> None:
    name = f"plan {plan.digest[:12]}"
    if not approvals:
        raise RemediationError(f"{name}: not approved; the policy's action is ask")
    if approvals[0].who == plan.proposer:
        raise RemediationError(f"{name}: approved by {plan.proposer}, who proposed it; somebody else has to")
    bound = {"observed": plan.observed.model_dump(), "expires": plan.expires.isoformat()}
    if approvals[0].detail != bound:
        raise RemediationError(f"{name}: the approval is of another state or time than the plan")


def _resting(entries: list[Entry], usecase: UseCase, now: datetime, kinds: tuple[str, ...]) -> bool:
    return any(entry.kind in kinds and now - entry.moment < rest(usecase) for entry in entries)
