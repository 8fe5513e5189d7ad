"""Transitions of labels: aliases, tags and descriptions, which help people and decide nothing."""

import re
from dataclasses import replace

from almanac.core.errors import RegistryError
from governance.registry.events import Event
from governance.registry.state import STAGES, WHOLE, Labels, State, detail_of

_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", re.ASCII)
_LONGEST_TAG, _LONGEST_DESCRIPTION = 1_000, 10_000


def aliased(state: State, event: Event) -> State:
    """Let an alias name a version, and no longer the one that it named before."""
    alias, entry = alias_of(event), state.version(event.version)
    # Aliases are what servers and notebooks follow without looking.
    if entry.rejected:
        raise RegistryError(f"version {entry.number} was rejected by {entry.rejected}; an alias cannot name it")
    return replace(state, aliases={**state.aliases, alias: entry.number})


def unaliased(state: State, event: Event) -> State:
    """Remove an alias."""
    alias = alias_of(event)
    if state.aliases.get(alias) != event.version:
        raise RegistryError(f"alias @{alias} does not name version {event.version}")
    return replace(state, aliases={name: number for name, number in state.aliases.items() if name != alias})


def tagged(state: State, event: Event) -> State:
    """Set a tag."""
    key, value = _key(event), detail_of(event, "value")["value"]
    # The chain keeps every value for ever, and each reader reads it.
    if not isinstance(value, str) or len(value) > _LONGEST_TAG:
        raise RegistryError(f"tag {key}: the value is {str(value)[:40]!r}; expected at most {_LONGEST_TAG} characters")
    labels = _labels(state, event)
    return _with(state, event.version, replace(labels, tags={**labels.tags, key: value}))


def untagged(state: State, event: Event) -> State:
    """Remove a tag."""
    key, labels = _key(event), _labels(state, event)
    if key not in labels.tags:
        raise RegistryError(f"there is no tag {key!r} to remove")
    tags = {name: value for name, value in labels.tags.items() if name != key}
    return _with(state, event.version, replace(labels, tags=tags))


def described(state: State, event: Event) -> State:
    """Set the description."""
    text = detail_of(event, "text")["text"]
    if not isinstance(text, str) or len(text) > _LONGEST_DESCRIPTION:
        raise RegistryError(f"description: expected at most {_LONGEST_DESCRIPTION:,} characters of text")
    return _with(state, event.version, replace(_labels(state, event), description=text))


def alias_of(event: Event) -> str:
    """Return an event's alias.

    Raises:
        RegistryError: not a name that an address can hold, or one that means something else there.
    """
    alias = detail_of(event, "alias")["alias"]
    # `registry:demo@production` would be read as the stage by people, and as the alias by programs.
    if not isinstance(alias, str) or not _ALIAS.fullmatch(alias) or alias in STAGES or re.fullmatch(r"v\d+", alias):
        raise RegistryError(
            f"alias is {alias!r}; expected lower-case letters, digits, _ and -, and neither a stage nor a version"
        )
    return alias


def _key(event: Event) -> str:
    key = detail_of(event, "key")["key"]
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise RegistryError(f"tag is {key!r}; expected letters, digits, _, . and -, at most 100 characters")
    return key


def _labels(state: State, event: Event) -> Labels:
    if event.version != WHOLE:
        state.version(event.version)
    return state.labels_of(event.version)


def _with(state: State, number: int, labels: Labels) -> State:
    return replace(state, labels={**state.labels, number: labels})
