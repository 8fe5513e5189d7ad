"""The journal of the operations room: alarms, diagnoses, actions and notifications, as a chain in the registry's store.

It follows the rules of the log of retrainings: entries are numbered, hash-chained and never rewritten.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from almanac.core.errors import RemediationError
from orchestration.retraining.audit_log import AuditLog, Entry

#: Kinds of entries that are about alarms, actions and notifications. Of an action the subject is its digest, of alarms,
#: diagnoses and of `gave_up` that of the alarm; `finished`, `verified`, `undone`, `failed` and `gave_up` are news.
ALARMS = ("alarm",)
ACTIONS = (
    *("diagnosed", "proposed", "approved", "rejected", "started", "finished", "failed", "verified"),
    *("undoing", "undone", "gave_up"),
)
SWITCHES = ("stopped", "released")
NOTIFICATIONS = ("notified",)


@dataclass(frozen=True)
class JournalEntry(Entry):
    """An entry of the journal; `plan` is its subject: the digest of an alarm or of an action."""

    KINDS = (*ALARMS, *ACTIONS, *SWITCHES, *NOTIFICATIONS)
    FOLDER = "operations/{}/entries"
    NOUN = "entry"
    ERROR = RemediationError


class Journal(AuditLog):
    """The journal of one use case.

    Args:
        url: address of the model registry.
        use_case: name of the use case.
        clock: returns the present; tests give their own.
    """

    RECORD: ClassVar[type[Entry]] = JournalEntry


def entry_of_row(row: Mapping[str, Any]) -> Entry:
    """Return an entry as a row of the history has it; its place in the chain was checked when the history was made."""
    words = {name: row[name] for name in ("use_case", "number", "kind", "who", "when", "why")}
    return Entry(plan=row["subject"], previous="", id="", detail=json.loads(row["detail"]), **words)
