"""Rows from the registry: versions with their figures, events, and approvals."""

from typing import Any

from sqlalchemy import Connection, Table, delete

from governance.registry.events import Event
from governance.registry.overview import figures, flatten
from governance.registry.reader import Reader
from governance.registry.state import State, Version
from operations.history.sources import Rows
from operations.history.sources.text import as_text, number
from operations.history.tables import APPROVALS, EVENTS, METRICS, VERSIONS

#: Events that are decisions of people on what others proposed.
_DECISIONS = ("approved", "rejected", "policy_approved")


def clear_registry(connection: Connection, use_case: str) -> None:
    """Delete the rows of a use case of the registry."""
    for table in (VERSIONS, EVENTS, APPROVALS):
        connection.execute(delete(table).where(table.c.use_case == use_case))
    connection.execute(delete(METRICS).where(METRICS.c.use_case == use_case, METRICS.c.kind == "version"))


def registry_rows(registry: Reader, use_case: str) -> Rows:
    """Yield the rows of a use case in a registry.

    Raises:
        RegistryError: it breaks a rule.
    """
    state = registry.registered(use_case)
    for entry in state.versions.values():
        yield _version(state, entry)
        yield from _metrics(registry, use_case, entry)
    for event in registry.log(use_case):
        yield from _event(event)


def _version(state: State, entry: Version) -> tuple[Table, dict[str, Any]]:
    labels = state.labels_of(entry.number)
    return VERSIONS, {
        "use_case": state.use_case,
        "number": entry.number,
        "manifest": entry.manifest,
        "model": entry.model,
        "proposer": entry.proposer,
        "registered": entry.registered_at,
        "status": state.status(entry),
        "stage": entry.stage,
        "gate_passed": entry.gate_passed,
        "documents": entry.documents,
        "rejected": entry.rejected,
        "aliases": as_text(state.aliases_of(entry.number)),
        "tags": as_text(dict(labels.tags)),
        "description": labels.description,
    }


def _metrics(registry: Reader, use_case: str, entry: Version) -> Rows:
    for target, values in figures(registry, use_case, entry).get("targets", {}).items():
        for name, value in flatten(values):
            if (finite := number(value)) is not None:
                key = {"use_case": use_case, "kind": "version", "subject": str(entry.number)}
                yield METRICS, {**key, "target": target, "name": name, "value": finite}


def _event(event: Event) -> Rows:
    identity = str(event.detail.get("identity", {}).get("kind", "typed"))
    who = {"use_case": event.use_case, "number": event.number, "who": event.who, "when": event.when, "why": event.why}
    own = {"kind": event.kind, "version": event.version, "digest": event.digest, "detail": as_text(event.detail)}
    yield EVENTS, {**who, **own, "identity": identity}
    if event.kind in _DECISIONS:
        subject = f"version {event.version}" if event.version else "policy"
        decision = "rejected" if event.kind == "rejected" else "approved"
        yield APPROVALS, {**who, "log": "registry", "subject": subject, "decision": decision, "identity": identity}
