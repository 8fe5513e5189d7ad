"""Rows from the logs in the registry's store: plans of retrainings, alarms, actions and notifications."""

from collections.abc import Iterable

from governance.registry import Registry
from operations.history.sources import Rows
from operations.history.sources.text import as_text
from operations.history.tables import ACTIONS, ALARMS, APPROVALS, NOTIFICATIONS, PLANS
from operations.journal import ACTIONS as ACTION_KINDS
from operations.journal import SWITCHES, Journal
from orchestration.retraining import policy
from orchestration.retraining.audit_log import AuditLog, Entry

#: Kinds of entries that close a plan, and the word for its state then; the last of them counts.
_STATES = {"proposed": "open", "approved": "approved", "rejected": "rejected", "started": "started"}
_STATES |= {"finished": "finished", "failed": "failed"}


def log_rows(url: str) -> Rows:
    """Yield the rows of the logs of every use case in a registry.

    Raises:
        RemediationError: a log whose chain is broken.
    """
    for use_case in sorted(Registry(url).use_cases()):
        entries = AuditLog(url, use_case).entries()
        yield from _plans(use_case, entries)
        yield from _decisions(use_case, "remediation", entries)
        journal = Journal(url, use_case).entries()
        yield from _journal(use_case, journal)
        yield from _decisions(use_case, "operations", journal)


def _plans(use_case: str, entries: list[Entry]) -> Rows:
    states = {entry.plan: _STATES[entry.kind] for entry in entries if entry.kind in _STATES}
    for entry in entries:
        if entry.kind != "proposed":
            continue
        plan = policy.find(entries, entry.plan)
        yield (
            PLANS,
            {
                "use_case": use_case,
                "digest": plan.digest,
                "proposer": plan.proposer,
                "created": plan.created.isoformat(),
                "expires": plan.expires.isoformat(),
                "status": states[plan.digest],
                "reasons": as_text(plan.reasons),
                "difference": as_text(plan.difference),
            },
        )


def _decisions(use_case: str, log: str, entries: Iterable[Entry]) -> Rows:
    for entry in entries:
        if entry.kind in ("approved", "rejected"):
            yield (
                APPROVALS,
                {
                    "use_case": use_case,
                    "log": log,
                    "number": entry.number,
                    "subject": f"{'plan' if log == 'remediation' else 'action'} {entry.plan[:12]}",
                    "decision": entry.kind,
                    "who": entry.who,
                    "identity": str(entry.detail.get("identity", "typed")),
                    "when": entry.when,
                    "why": entry.why,
                },
            )


def _journal(use_case: str, entries: Iterable[Entry]) -> Rows:
    for entry in entries:
        key = {"use_case": use_case, "number": entry.number, "when": entry.when}
        detail = entry.detail
        if entry.kind == "alarm":
            words = {name: str(detail.get(name, "")) for name in ("name", "state", "severity")}
            yield ALARMS, {**key, **words, "summary": entry.why}
        elif entry.kind == "notified":
            words = {name: str(detail.get(name, "")) for name in ("channel", "outcome")}
            yield NOTIFICATIONS, {**key, **words, "subject": entry.plan, "summary": entry.why}
        elif entry.kind in (*ACTION_KINDS, *SWITCHES):
            own = {"subject": entry.plan, "kind": entry.kind, "who": entry.who, "why": entry.why}
            yield ACTIONS, {**key, **own, "detail": as_text(detail)}
