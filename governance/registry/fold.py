"""State of a use case, computed event by event.

One function applies an event and refuses one that breaks a rule. Writers call it before they write, and readers while
they read, so that every reader refuses a forged event.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from almanac.core.errors import AlmanacError, RegistryError
from almanac.core.people import check_person
from governance.registry import labels, policy_changes, stages
from governance.registry.events import FIRST_KINDS, Event
from governance.registry.identity import check_identity
from governance.registry.state import State

#: How far the clocks of two machines that write to one registry may be apart.
CLOCK_TOLERANCE = timedelta(minutes=5)

_APPLY: dict[str, Callable[[State, Event], State]] = {
    "registered": stages.registered,
    "documented": stages.documented,
    "approved": stages.approved,
    "rejected": stages.rejected,
    "promoted": stages.promoted,
    "demoted": stages.demoted,
    "rolled_back": stages.rolled_back,
    "policy_set": policy_changes.policy_set,
    "policy_proposed": policy_changes.policy_proposed,
    "policy_approved": policy_changes.policy_approved,
    "aliased": labels.aliased,
    "unaliased": labels.unaliased,
    "tagged": labels.tagged,
    "untagged": labels.untagged,
    "described": labels.described,
}


def fold(
    use_case: str,
    events: Iterable[Event],
    state: State | None = None,
    check: Callable[[State, Event], None] = lambda state, event: None,
) -> State:
    """Return the state after `events`, starting from `state` or from an empty one.

    Args:
        use_case: name of the use case.
        events: the events, oldest first.
        state: the state before them.
        check: checks an event against what it names in the store, given the state after it.

    Raises:
        RegistryError: an event that breaks a rule, named by number.
    """
    state = state or State(use_case)
    digests: dict[int, str] = {}
    ids: set[str] = set()
    for event in events:
        if not digests:
            # Copied once and not for each event, which would take quadratic time; the given state keeps its own.
            digests, ids = dict(state.digests), set(state.ids)
        try:
            # The rules first: they check the types of the fields by which the evidence is then looked up.
            state = _step(state, event, ids)
            check(state, event)
        except AlmanacError as error:
            raise RegistryError(f"{use_case}: event {event.number} breaks a rule: {error}") from error
        digests[event.number] = event.digest
        ids.add(event.id)
    return replace(state, digests=digests, ids=ids) if digests else state


def advance(state: State, event: Event) -> State:
    """Return the state after one event.

    Raises:
        RegistryError: the event breaks a rule, which the message names.
    """
    moved = _step(state, event, state.ids)
    return replace(moved, digests={**state.digests, event.number: event.digest}, ids={*state.ids, event.id})


def check_present(state: State, now: datetime) -> None:
    """Refuse a state with an event from the future, after which no honest writer could write any more.

    Raises:
        RegistryError: the latest event is later than `now` by more than the tolerance.
    """
    if state.latest is not None and state.latest - now > CLOCK_TOLERANCE:
        ahead = f"{state.latest - now}".partition(".")[0]
        raise RegistryError(f"{state.use_case}: an event is {ahead} ahead of this machine's clock; check both")


def _step(state: State, event: Event, ids: frozenset[str] | set[str]) -> State:
    if not event.who.strip() or not event.why.strip():
        raise RegistryError(f"{event.kind}: who and why must be stated")
    if not event.id or event.id in ids:
        raise RegistryError(f"{event.kind}: the id {event.id!r} was used by an earlier event; an event counts once")
    # Parsed in chains of the first release, too: whatever is not a time there was never written by a release.
    time = event.time
    if state.policy is not None or event.kind not in FIRST_KINDS:
        _check_present_rules(state, event, time)
    moved = _APPLY[event.kind](state, event)
    # The latest and not the last, or steps within the tolerance could lead back as far as one likes.
    latest = time if state.latest is None else max(time, state.latest)
    return replace(moved, last=event, latest=latest)


def _check_present_rules(state: State, event: Event, time: datetime) -> None:
    """Check the rules that the first release did not have; its chains stay readable up to their first policy."""
    if state.policy is None and event.kind != "policy_set":
        raise RegistryError(f"{event.kind}: the registry has no policy yet; expected policy_set")
    check_person(event.who)
    if state.latest is not None and state.latest - time > CLOCK_TOLERANCE:
        raise RegistryError(
            f"{event.kind}: at {event.when}, before an earlier event by more than the tolerance of "
            f"{CLOCK_TOLERANCE.seconds // 60} minutes; check the clocks"
        )
    # An approval's identity is checked with the approval; others may be signed, and must then be what they say.
    if "identity" in event.detail and event.kind not in ("approved", "policy_approved"):
        check_identity(event, state.in_force())
