"""Operations on labels: aliases, tags and descriptions, each change an event."""

from governance.registry.state import State
from governance.registry.writer import Proposal, Writer


class Labelling(Writer):
    """The part of a registry that names and describes versions."""

    def set_alias(self, use_case: str, version: int, alias: str, *, who: str, why: str) -> bool:
        """Let an alias name a version; return whether an event was written.

        Raises:
            RegistryError: an unusable alias, or a rejected version.
        """
        self._prepare(use_case)
        self.version(use_case, version)

        def propose(state: State) -> Proposal:
            done = state.aliases.get(alias) == version
            return None if done else ("aliased", version, {"alias": alias})

        return self._transact(use_case, who, why, propose)[1]

    def remove_alias(self, use_case: str, alias: str, *, who: str, why: str) -> bool:
        """Remove an alias; return whether there was one."""
        self._prepare(use_case)

        def propose(state: State) -> Proposal:
            return ("unaliased", state.aliases[alias], {"alias": alias}) if alias in state.aliases else None

        return self._transact(use_case, who, why, propose)[1]

    def set_tag(self, use_case: str, version: int, key: str, value: str, *, who: str, why: str) -> bool:
        """Set a tag of a version, or of the use case for version 0; return whether an event was written."""
        self._prepare(use_case)

        def propose(state: State) -> Proposal:
            done = state.labels_of(version).tags.get(key) == value
            return None if done else ("tagged", version, {"key": key, "value": value})

        return self._transact(use_case, who, why, propose)[1]

    def remove_tag(self, use_case: str, version: int, key: str, *, who: str, why: str) -> bool:
        """Remove a tag of a version, or of the use case for version 0; return whether there was one."""
        self._prepare(use_case)

        def propose(state: State) -> Proposal:
            return ("untagged", version, {"key": key}) if key in state.labels_of(version).tags else None

        return self._transact(use_case, who, why, propose)[1]

    def describe(self, use_case: str, version: int, text: str, *, who: str, why: str) -> bool:
        """Set the description of a version, or of the use case for version 0; return whether an event was written."""
        self._prepare(use_case)

        def propose(state: State) -> Proposal:
            done = state.labels_of(version).description == text
            return None if done else ("described", version, {"text": text})

        return self._transact(use_case, who, why, propose)[1]
