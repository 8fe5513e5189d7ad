"""The journal as the agent follows it: read and checked as a whole once, and from then on by its new entries."""

import threading
from functools import cached_property

from operations.journal import Journal
from orchestration.retraining.audit_log import Entry


class FollowedJournal(Journal):
    """A journal that reads only the entries that it does not know yet.

    Entries are never rewritten, and each new one names the digest of the one before. An edit of an entry that was read
    already is found by the next process, and by everybody who reads the journal as a whole.
    """

    def entries(self) -> list[Entry]:
        """Return all entries, oldest first, after checking the new ones against the chain and its head.

        Raises:
            RemediationError: an edited, replaced or missing entry, named by its key.
        """
        known = self._known
        with known.lock:
            head = self._chain.head()
            last = known.entries[-1] if known.entries else None
            for entry in self._chain.read(last, int(head["number"]) if head else 0):
                known.entries.append(entry)
                known.digests[entry.number] = entry.digest
            self._chain.check_head(head, known.digests)
            return list(known.entries)

    @cached_property
    def _known(self) -> "_Known":
        return _Known()


class _Known:
    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.digests: dict[int, str] = {}
        # The webhook's threads write alarms while the work goes on.
        self.lock = threading.Lock()
