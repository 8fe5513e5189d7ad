"""Read access to a registry: versions, stages, events, and their verification."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from almanac.core.errors import RegistryError
from governance.registry import release_checks
from governance.registry.events import Event, event_chain
from governance.registry.evidence import check_evidence, fetch_evidence
from governance.registry.fold import check_present, fold
from governance.registry.policy import Policy
from governance.registry.published import check_copies, list_copies
from governance.registry.state import State, Version
from governance.registry.stores import open_store
from governance.registry.versions import read_manifest

_USE_CASE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
#: Folder of a registry that holds a folder for each use case.
USE_CASES = "use_cases"


class Reader:
    """A registry for those who need no write access, such as a server.

    Args:
        url: a path, `file://…`, `s3://bucket/prefix` or `gs://bucket/prefix`.
        clock: returns the present: the time of events, and the time after which no event can be.
    """

    def __init__(self, url: str | Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.store = open_store(str(url))
        self._clock = clock
        self._states: dict[str, State] = {}

    def use_cases(self) -> list[str]:
        """Return the names of the use cases that have events.

        Raises:
            RegistryError: there is no registry at the address, nothing is registered in it, or events are gone.
        """
        names = self.store.keys(USE_CASES)
        if not names:
            raise RegistryError(
                f"registry {self.store.url}: there is no registry here, or nothing was ever registered in it; "
                "check the path or the bucket"
            )
        # Each one, as a use case that was left out of a list would look as if it had never been.
        for name in names:
            self.registered(name)
        return names

    def state(self, use_case: str) -> State:
        """Return the state after all events; later calls read only the new ones.

        Raises:
            RegistryError: an edited, rewritten or truncated log, or an event that breaks a rule or contradicts what it
                names.
        """
        check_name(use_case)
        cached = self._states.get(use_case)
        chain = event_chain(self.store, use_case)
        # Read before the events, which may grow meanwhile: the chain must then reach at least so far.
        head = chain.head() if cached is None else None

        def check(state: State, event: Event) -> None:
            check_evidence(self.store, state, event)

        if cached is not None:
            state = fold(use_case, chain.read(cached.last), cached, check)
        else:
            events = list(chain.read(newest=head["number"] if head else 0))
            fetch_evidence(self.store, use_case, events)
            state = fold(use_case, events, None, check)
            self.store.read_ahead(())
            chain.check_head(head, state.digests)
        # Only with news: a clock that is set back later must not stop a server that reads nothing new.
        if cached is None or state.last is not cached.last:
            check_present(state, self._clock())
        self._states[use_case] = state
        return state

    def current(self, use_case: str, stage: str = "production") -> Version | None:
        """Return the version in a stage, or None; costs one read of an absent key if nothing is new."""
        state = self.state(use_case)
        number = state.stages().get(stage)
        return None if number is None else state.versions[number]

    def origin(self, use_case: str, version: Version) -> Version:
        """Return the first version with a version's model; edited statements make further ones of the same model."""
        versions = self.state(use_case).versions.values()
        return min((each for each in versions if each.model == version.model), key=lambda each: each.number)

    def check_reachable(self, use_case: str) -> None:
        """Check that the newest event that was read is still there.

        A registry whose directory or bucket is gone looks like one without new events.

        Raises:
            RegistryError: it is not there.
        """
        last = self.state(use_case).last
        try:
            if last is not None:
                self.store.read(event_chain(self.store, use_case).key(last.number))
        except OSError as error:
            raise RegistryError(f"registry {self.store.url}: the events of {use_case} are gone ({error})") from error

    def stages(self, use_case: str) -> dict[str, int]:
        """Return stage -> version number."""
        return self.state(use_case).stages()

    def version(self, use_case: str, selector: str | int) -> Version:
        """Return a version by stage, alias or number.

        Raises:
            RegistryError: there is no such version, or the stage is empty.
        """
        return self.registered(use_case).find(str(selector))

    def policy(self, use_case: str) -> Policy:
        """Return the policy in force."""
        return self.state(use_case).in_force()

    def needs_approval(self, use_case: str, selector: str | int) -> bool:
        """Return whether production needs an approval of the version, by its own rule or the registry's policy."""
        return self.state(use_case).needs_approval(self.version(use_case, selector))

    def log(self, use_case: str) -> list[Event]:
        """Read and check every event again, and return them, oldest first."""
        last = self.registered(use_case).last
        return list(event_chain(self.store, use_case).read(newest=last.number if last else 0))

    def files(self, use_case: str, selector: str | int) -> dict[str, dict[str, Any]]:
        """Return path -> {"sha256", "bytes"} of a version's files, documents included."""
        entry = self.version(use_case, selector)
        files: dict[str, dict[str, Any]] = dict(read_manifest(self.store, use_case, entry.manifest)["files"])
        if entry.documents:
            files.update(read_manifest(self.store, use_case, entry.documents)["files"])
        return files

    def verify(self, use_case: str) -> State:
        """Read and check the whole chain, and every byte of every version and published copy.

        Changes that others write after the start are not looked at.

        Raises:
            RegistryError: the first broken link, named.
        """
        check_name(use_case)
        self._states.pop(use_case, None)
        # Listed before the events are read: what others write meanwhile is then not taken for a stray file.
        names, copies = release_checks.event_names(self.store, use_case), list_copies(self.store, use_case)
        state = self.registered(use_case)
        release_checks.check_event_names(self.store, use_case, names, state)
        for entry in state.versions.values():
            release_checks.check_version(self.store, use_case, entry)
        check_copies(self.store, use_case, copies, self.log(use_case))
        return state

    def registered(self, use_case: str) -> State:
        """Return the state of a use case that has events.

        Raises:
            RegistryError: nothing is registered under that name, or its events are gone.
        """
        state = self.state(use_case)
        if state.last is None:
            # Deleted events and a killed first registration look the same; both are no registry to rely on.
            if left := self.store.keys(f"{USE_CASES}/{use_case}"):
                raise RegistryError(
                    f"registry {self.store.url}: {use_case!r} has {', '.join(left)} and no events; they are gone, or "
                    "its first registration did not end"
                )
            raise RegistryError(f"registry {self.store.url}: nothing is registered for {use_case!r}")
        return state


def check_name(use_case: str) -> None:
    """Refuse a name that cannot be part of a key.

    Raises:
        RegistryError: not the form of a use case's name.
    """
    if not _USE_CASE.fullmatch(use_case):
        raise RegistryError(f"{use_case!r} is not a use case name; expected lower-case letters, digits, _ and -")
