"""Rules of retrainings: who may approve a plan, and when it may be executed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from almanac.core.errors import AlmanacError, RemediationError
from almanac.core.people import check_person, same_person
from almanac.usecase import UseCase, digest
from almanac.usecase.types import to_timedelta
from orchestration.retraining.audit_log import AuditLog, Draft, Entry
from orchestration.retraining.plan import Observed, Plan

_ENDS = ("finished", "failed")


def propose(log: AuditLog, plan: Plan, usecase: UseCase) -> Plan | None:
    """Write a plan to the log and return the open plan, which may be an earlier one.

    A plan that is open for the same state and use case file is kept, so that an hourly pipeline asks once. None is
    returned if a plan was executed or rejected within the last rest: the data have to change first.
    """
    # Filled by `draft`, which `append` may call several times.
    accepted: list[Plan] = []
    purpose = (plan.use_case_digest, plan.observed)

    def draft(entries: list[Entry]) -> Draft | None:
        candidates = open_plans(entries, log.clock())
        accepted[:] = [each for each in candidates if (each.use_case_digest, each.observed) == purpose]
        if accepted or _resting(entries, usecase, log.clock(), ("started", "rejected")):
            return None
        accepted[:] = [plan]
        detail = {"plan": plan.model_dump(mode="json")}
        return Draft("proposed", plan.digest, plan.proposer, "; ".join(plan.reasons) or "by policy", detail)

    log.append(draft)
    return accepted[0] if accepted else None


def approve(log: AuditLog, plan: str, *, who: str, why: str) -> Entry:
    """Approve a plan by its whole digest.

    Raises:
        RemediationError: unknown, altered, expired, rejected, approved or executed already, or proposed by `who`.
    """

    def draft(entries: list[Entry]) -> Draft:
        proposal = find(entries, plan)
        _check_open(entries, proposal, log.clock())
        # Four eyes: the pipeline's own name cannot approve its plans.
        if same_person(check_person(who), proposal.proposer):
            raise RemediationError(f"plan {plan[:12]}: {who} proposed it; somebody else has to approve it")
        if earlier := _about(entries, plan, "approved"):
            raise RemediationError(
                f"plan {plan[:12]}: {earlier[0].who} approved it already, in entry {earlier[0].number}"
            )
        return Draft("approved", plan, who, why, _bound(proposal))

    return log.write(draft)


def reject(log: AuditLog, plan: str, *, who: str, why: str) -> Entry:
    """Reject a plan for good."""

    def draft(entries: list[Entry]) -> Draft:
        _check_open(entries, find(entries, plan), log.clock())
        return Draft("rejected", plan, who, why)

    return log.write(draft)


def switch(log: AuditLog, *, stop: bool, who: str, why: str) -> None:
    """Stop all retrainings of the use case, or release them again."""

    def draft(entries: list[Entry]) -> Draft | None:
        return None if stopped(entries) is stop else Draft("stopped" if stop else "released", "", who, why)

    log.append(draft)


def execute(
    log: AuditLog,
    plan: str,
    usecase: UseCase,
    *,
    who: str,
    observe: Callable[[], Observed],
    start: Callable[[UseCase], dict[str, Any]],
    resume: bool = False,
) -> dict[str, Any]:
    """Execute a plan once; every rule is checked again at its execution.

    Args:
        log: the audit log.
        plan: the plan's digest.
        usecase: the use case as it was when the plan was made.
        who: name of the person or program that executes it.
        observe: returns the present state.
        start: starts the training of a use case and returns its outcome, for the log.
        resume: continue an interrupted execution; without it such a plan is refused.

    Raises:
        RemediationError: stopped, not approved, expired, executed already, another state, or too soon after another.
    """
    # Filled by `draft`, which `append` may call several times.
    plans: list[Plan] = []

    def draft(entries: list[Entry]) -> Draft | None:
        plans[:] = [find(entries, plan)]
        started = _about(entries, plan, "started")
        if started and not _about(entries, plan, *_ENDS) and resume:
            _check_not_stopped(entries, usecase)
            return None
        # Checked with the entries that the new one follows: a change in between takes its number.
        _check_start(entries, plans[0], usecase, log.clock(), observe())
        approval = _about(entries, plan, "approved")
        return Draft("started", plan, who, "by policy" if not approval else approval[0].why, _consumed(approval))

    log.append(draft)
    try:
        outcome = start(plans[0].action.apply(usecase))
    # Other errors are crashes; their plan stays started, and is resumed only on request.
    except AlmanacError as error:
        failed = Draft("failed", plan, who, str(error))
        log.append(lambda _: failed)
        raise
    log.append(lambda _: Draft("finished", plan, who, str(outcome.get("result", "started")), outcome))
    return outcome


def find(entries: list[Entry], plan: str) -> Plan:
    """Return the plan of that digest.

    Raises:
        RemediationError: unknown, or altered after it was proposed.
    """
    for entry in entries:
        if entry.kind == "proposed" and entry.plan == plan:
            stored = Plan.model_validate(entry.detail["plan"])
            # The chain shows edited entries; this shows a plan that was altered with its entry.
            if stored.digest != plan:
                raise RemediationError(f"plan {plan[:12]}: altered; its digest is {stored.digest[:12]}…")
            return stored
    raise RemediationError(f"plan {plan[:12]}: no such plan in the log; give the whole digest of one that was proposed")


def open_plans(entries: list[Entry], now: datetime) -> list[Plan]:
    """Return the plans that may still be approved or executed."""
    proposed = [find(entries, entry.plan) for entry in entries if entry.kind == "proposed"]
    closed = ("started", "rejected", *_ENDS)
    return [plan for plan in proposed if plan.expires > now and not _about(entries, plan.digest, *closed)]


def stopped(entries: list[Entry]) -> bool:
    """Return whether retrainings of the use case are stopped."""
    switches = [entry.kind for entry in entries if entry.kind in ("stopped", "released")]
    return bool(switches) and switches[-1] == "stopped"


def rest(usecase: UseCase) -> timedelta:
    """Return the shortest time between two executions: the window's length over the number of windows examined."""
    return to_timedelta(usecase.drift.window) / usecase.drift.policy.of


def _about(entries: list[Entry], plan: str, *kinds: str) -> list[Entry]:
    return [entry for entry in entries if entry.plan == plan and entry.kind in kinds]


def _consumed(approval: list[Entry]) -> dict[str, Any]:
    return {"approval": approval[0].number, "approval_digest": approval[0].digest} if approval else {}


def _bound(plan: Plan) -> dict[str, Any]:
    """Return the state and time that an approval of the plan is bound to."""
    return {"observed": plan.observed.model_dump(), "expires": plan.expires.isoformat()}


def _check_open(entries: list[Entry], plan: Plan, now: datetime) -> None:
    name = f"plan {plan.digest[:12]}"
    if used := _about(entries, plan.digest, "started"):
        raise RemediationError(f"{name}: executed already, in entry {used[0].number}; a plan is used once")
    if closed := _about(entries, plan.digest, "rejected"):
        raise RemediationError(f"{name}: {closed[0].who} rejected it, in entry {closed[0].number}")
    if plan.expires <= now:
        raise RemediationError(
            f"{name}: expired at {plan.expires.isoformat(timespec='seconds')}; the next breach gives a new one"
        )


def _check_not_stopped(entries: list[Entry], usecase: UseCase) -> None:
    if stopped(entries):
        raise RemediationError(f"{usecase.name}: remediation is stopped; release it first")


def _check_start(entries: list[Entry], plan: Plan, usecase: UseCase, now: datetime, observed: Observed) -> None:
    name = f"plan {plan.digest[:12]}"
    _check_not_stopped(entries, usecase)
    _check_open(entries, plan, now)
    if usecase.drift.policy.action == "ask":
        _check_approval(_about(entries, plan.digest, "approved"), plan)
    if digest(usecase) != plan.use_case_digest:
        raise RemediationError(f"{name}: made for another use case file; its digest is {plan.use_case_digest[:12]}…")
    if observed != plan.observed:
        raise RemediationError(
            f"{name}: made when version {plan.observed.production} stood in production at registry event "
            f"{plan.observed.registry[:12]}…; the state is another now, version {observed.production}"
        )
    if _resting(entries, usecase, now, ("started",)):
        raise RemediationError(f"{name}: another plan was executed less than {rest(usecase)} ago; the rate is limited")


def _check_approval(approvals: list[Entry], plan: Plan) -> None:
    name = f"plan {plan.digest[:12]}"
    if not approvals:
        raise RemediationError(f"{name}: not approved; the policy's action is ask")
    if same_person(approvals[0].who, plan.proposer):
        raise RemediationError(f"{name}: approved by {plan.proposer}, who proposed it; somebody else has to")
    if approvals[0].detail != _bound(plan):
        raise RemediationError(f"{name}: the approval is of another state or time than the plan")


def _resting(entries: list[Entry], usecase: UseCase, now: datetime, kinds: tuple[str, ...]) -> bool:
    return any(entry.kind in kinds and now - entry.time < rest(usecase) for entry in entries)
