"""What the events add up to: versions, approvals, and which version stands in which stage.

One function, `advance`, applies an event and refuses one that breaks a rule. Writers use it before they write and
readers while they fold, so that a forged event is refused by whoever reads the log.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from almanac.core.errors import RegistryError
from governance.registry.events import Event

STAGES = ("staging", "production", "archived")
POLICIES = ("none", "required")


@dataclass(frozen=True)
class Version:
    """A registered version as the events tell it.

    Attributes:
        number: 1, 2, 3 …
        manifest: sha256 of its manifest.
        model: sha256 of its model/manifest.json, the digest that a server reports.
        proposer: who registered it.
        policy: `none` or `required`: whether production needs an approval.
        gate_passed: what its gate.json says; False where there is none.
        documents: sha256 of the manifest of its documents, None while there are none.
        approvals: who approved these documents.
        rejected: who rejected it, None if nobody did.
        stage: staging, production, archived, or None.
        registered_at: ISO 8601 in UTC.
    """

    number: int
    manifest: str
    model: str
    proposer: str
    policy: str
    gate_passed: bool
    registered_at: str
    documents: str | None = None
    approvals: tuple[str, ...] = ()
    rejected: str | None = None
    stage: str | None = None


@dataclass(frozen=True)
class State:
    """The fold over a use case's events.

    Attributes:
        use_case: whose.
        versions: by number.
        production: earlier and present production versions, the present one last.
        last: the newest event, None before the first.
        digests: number -> digest of every event.
    """

    use_case: str
    versions: dict[int, Version] = field(default_factory=dict)
    production: tuple[int, ...] = ()
    last: Event | None = None
    digests: dict[int, str] = field(default_factory=dict)

    def stages(self) -> dict[str, int]:
        """Return stage -> version for staging and production; archived versions are many, see `versions`."""
        return {entry.stage: entry.number for entry in self.versions.values() if entry.stage in STAGES[:2]}

    def version(self, number: int) -> Version:
        """Return a version.

        Raises:
            RegistryError: there is no such version.
        """
        if number not in self.versions:
            known = f"1 to {len(self.versions)}" if self.versions else "none yet"
            raise RegistryError(f"{self.use_case}: there is no version {number}; versions: {known}")
        return self.versions[number]

    def find(self, what: str) -> Version:
        """Return the version that a stage name or a version number (`3` or `v3`) means.

        Raises:
            RegistryError: unknown, or nothing stands in the stage.
        """
        if what.removeprefix("v").isdigit():
            return self.version(int(what.removeprefix("v")))
        if what not in STAGES[:2]:
            raise RegistryError(
                f"{self.use_case}/{what}: neither a version nor a stage; right would be production, staging or a number"
            )
        number = self.stages().get(what)
        if number is None:
            raise RegistryError(f"{self.use_case}: no version stands in {what}")
        return self.versions[number]


def same_person(one: str, other: str) -> bool:
    """Return whether two names mean one person: case and surrounding space do not make another."""
    return one.strip().casefold() == other.strip().casefold()


def fold(use_case: str, events: Iterable[Event], state: State | None = None) -> State:
    """Return the state after `events`, from `state` or from nothing.

    Raises:
        RegistryError: an event that breaks a rule, named by number.
    """
    state = state or State(use_case)
    for event in events:
        try:
            state = advance(state, event)
        except RegistryError as error:
            raise RegistryError(f"{use_case}: event {event.number} breaks a rule: {error}") from error
    return state


def advance(state: State, event: Event) -> State:
    """Return the state after one event.

    Raises:
        RegistryError: the event breaks a rule; the message says which.
    """
    if not event.who.strip() or not event.why.strip():
        raise RegistryError(f"{event.kind}: who and why must be stated")
    moved = _APPLY[event.kind](state, event)
    return replace(moved, last=event, digests={**state.digests, event.number: event.digest})


def _registered(state: State, event: Event) -> State:
    detail = _detail(event, "manifest", "model", "approval", "gate_passed")
    if event.version != len(state.versions) + 1:
        raise RegistryError(f"version {event.version} is not the next; right would be {len(state.versions) + 1}")
    if detail["approval"] not in POLICIES:
        raise RegistryError(f"approval is {detail['approval']!r}; right would be none or required")
    entry = Version(
        event.version,
        detail["manifest"],
        detail["model"],
        event.who,
        detail["approval"],
        detail["gate_passed"] is True,
        event.when,
    )
    return _with(state, entry)


def _documented(state: State, event: Event) -> State:
    entry = state.version(event.version)
    if entry.stage in ("production", "archived"):  # an archived version may come back by a rollback, unread
        raise RegistryError(f"version {entry.number} is {_place(entry)}; its documents cannot be exchanged")
    manifest = _detail(event, "manifest")["manifest"]
    # An approver approved what he read: other documents need another approval.
    return _with(state, replace(entry, documents=manifest, approvals=()))


def _approved(state: State, event: Event) -> State:
    entry = _bound(state, event)
    if same_person(event.who, entry.proposer):
        raise RegistryError(f"{event.who} proposed version {entry.number} and cannot approve it; somebody else has to")
    if entry.documents is None:
        raise RegistryError(f"version {entry.number} has no documents yet; an approval is of documents that were read")
    if entry.rejected:
        raise RegistryError(f"version {entry.number} was rejected by {entry.rejected}; register another version")
    approvals = entry.approvals if event.who in entry.approvals else (*entry.approvals, event.who)
    return _with(state, replace(entry, approvals=approvals))


def _rejected(state: State, event: Event) -> State:
    entry = state.version(event.version)
    if entry.stage == "production":
        raise RegistryError(f"version {entry.number} stands in production; demote it or roll back first")
    stage = "archived" if entry.stage == "staging" else entry.stage
    return _with(state, replace(entry, rejected=event.who, approvals=(), stage=stage))


def _promoted(state: State, event: Event) -> State:
    stage = _detail(event, "stage")["stage"]
    entry = _bound(state, event)
    if stage not in STAGES[:2]:
        raise RegistryError(f"unknown stage {stage!r}; right would be staging or production")
    may_promote(entry, stage)
    if entry.stage == stage:
        raise RegistryError(f"version {entry.number} stands in {stage} already")
    history = (*state.production, entry.number) if stage == "production" else state.production
    return replace(_occupy(state, entry, stage), production=history)


def _demoted(state: State, event: Event) -> State:
    entry = state.version(event.version)
    if entry.stage not in STAGES[:2]:
        raise RegistryError(f"version {entry.number} stands neither in staging nor in production")
    history = state.production[:-1] if entry.stage == "production" else state.production
    return replace(_with(state, replace(entry, stage="archived")), production=history)


def _rolled_back(state: State, event: Event) -> State:
    entry = _bound(state, event)
    history = rollback_history(state)
    if not history or history[-1] != entry.number:
        right = history[-1] if history else f"none: {no_way_back(state)}"
        raise RegistryError(f"a rollback cannot go to version {entry.number}; right would be {right}")
    return replace(_occupy(state, entry, "production"), production=history)


def may_promote(entry: Version, stage: str) -> None:
    """Refuse a promotion that the version's evidence and policy do not allow.

    Raises:
        RegistryError: no passed gate, no documents, a rejection, or no approval where one is required.
    """
    name = f"version {entry.number}"
    if entry.rejected:
        raise RegistryError(f"{name} was rejected by {entry.rejected}; register another version")
    if not entry.gate_passed:
        raise RegistryError(f"{name} has no passed gate (gate.json); it cannot be promoted")
    if entry.documents is None:
        raise RegistryError(f"{name} has no governance documents; write and attach them first")
    if stage == "production" and entry.policy == "required" and not entry.approvals:
        raise RegistryError(
            f"{name} needs an approval by somebody other than {entry.proposer} before it goes to production"
        )


def rollback_history(state: State) -> tuple[int, ...]:
    """Return the production history as it is after a rollback; its last entry is where it leads.

    That is the newest earlier version that may stand there: versions rejected since are passed over.
    """
    history = _earlier(state)
    while history and not _may_return(state, history[-1]):
        history = history[:-1]
    return history


def passed_over(state: State) -> list[int]:
    """Return the rejected versions that a rollback passes over, the newest first."""
    over = reversed(_earlier(state)[len(rollback_history(state)) :])
    return [number for number in dict.fromkeys(over) if state.versions[number].rejected]


def no_way_back(state: State) -> str:
    """Return why a rollback leads nowhere."""
    rejected = "; ".join(
        f"version {number} was rejected by {state.versions[number].rejected}" for number in passed_over(state)
    )
    return f"there is no earlier production version to roll back to{f' ({rejected})' if rejected else ''}"


def _earlier(state: State) -> tuple[int, ...]:
    return state.production[:-1] if "production" in state.stages() else state.production


def _may_return(state: State, number: int) -> bool:
    entry = state.versions[number]
    return entry.rejected is None and entry.stage != "production"  # it may have stood there twice


def _occupy(state: State, entry: Version, stage: str) -> State:
    standing = state.stages().get(stage)
    if standing is not None:
        state = _with(state, replace(state.versions[standing], stage="archived"))
    if entry.stage == "production":
        raise RegistryError(f"version {entry.number} stands in production; roll back or demote instead")
    return _with(state, replace(state.versions[entry.number], stage=stage))


def _place(entry: Version) -> str:
    return "archived" if entry.stage == "archived" else f"in {entry.stage}"


def _bound(state: State, event: Event) -> Version:
    """Return the version, after checking that the event names the bytes that the version has now."""
    entry = state.version(event.version)
    detail = _detail(event, "manifest", "documents")
    if (detail["manifest"], detail["documents"]) != (entry.manifest, entry.documents):
        raise RegistryError(f"version {entry.number} is not, or no longer, what this {event.kind} event was about")
    return entry


def _detail(event: Event, *names: str) -> dict[str, Any]:
    missing = [name for name in names if name not in event.detail]
    if missing:
        raise RegistryError(f"{event.kind}: detail lacks {', '.join(missing)}")
    for name in {"manifest", "model"}.intersection(names):
        if not isinstance(event.detail[name], str):
            raise RegistryError(f"{event.kind}: detail's {name} is {event.detail[name]!r}; right would be a sha256")
    return event.detail


def _with(state: State, entry: Version) -> State:
    return replace(state, versions={**state.versions, entry.number: entry})


_APPLY = {
    "registered": _registered,
    "documented": _documented,
    "approved": _approved,
    "rejected": _rejected,
    "promoted": _promoted,
    "demoted": _demoted,
    "rolled_back": _rolled_back,
}
