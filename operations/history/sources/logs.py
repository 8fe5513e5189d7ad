"""Rows from the logs in the registry's store: its events, plans of retrainings, alarms, actions and notifications."""

from collections.abc import Iterable, Iterator
from functools import partial

from sqlalchemy import Connection, delete

from governance.registry import Registry
from governance.registry.events import event_chain
from governance.registry.reader import USE_CASES, Reader
from operations.history.sources import Part, Rows
from operations.history.sources.registry import clear_registry, registry_rows
from operations.history.sources.text import as_text
from operations.history.tables import ACTIONS, ALARMS, APPROVALS, NOTIFICATIONS, PLANS
from operations.journal import ACTIONS as ACTION_KINDS
from operations.journal import SWITCHES, Journal
from orchestration.retraining import policy
from orchestration.retraining.audit_log import AuditLog, Entry

#: Kinds of entries that close a plan, and the word for its state then; the last of them counts.
_STATES = {"proposed": "open", "approved": "approved", "rejected": "rejected", "started": "started"}
_STATES |= {"finished": "finished", "failed": "failed"}


def log_parts(url: str) -> Iterator[Part]:
    """Yield the use cases of a registry, each with its events and its two other logs.

    They are one part, so that an edit of an old event is found once one of the logs has grown.

    Raises:
        RegistryError: there is no registry; where the rows are read, one that breaks a rule.
        RemediationError: where the rows are read, a log whose chain is broken.
    """
    registry = Registry(url)
    for use_case in sorted(registry.store.keys(USE_CASES) or registry.use_cases()):
        plans, journal = AuditLog(url, use_case), Journal(url, use_case)
        newest = (event_chain(registry.store, use_case).newest(), plans.newest(), journal.newest())
        yield Part("logs", use_case, " ".join(newest), partial(_rows, registry, plans, journal))


def clear_logs(connection: Connection, use_case: str) -> None:
    """Delete the rows of a use case's events and logs."""
    clear_registry(connection, use_case)
    for table in (PLANS, ALARMS, NOTIFICATIONS, ACTIONS):
        connection.execute(delete(table).where(table.c.use_case == use_case))


def _rows(registry: Reader, plans: AuditLog, journal: Journal) -> Rows:
    yield from registry_rows(registry, plans.use_case)
    entries = plans.entries()
    yield from _plans(plans.use_case, entries)
    yield from _decisions(plans.use_case, "remediation", entries)
    entries = journal.entries()
    yield from _journal(journal.use_case, entries)
    yield from _decisions(journal.use_case, "operations", entries)


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
