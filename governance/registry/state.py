"""State of a use case's versions, computed from its events: approvals, rejections and stages.

One function, `advance`, applies an event and refuses one that breaks a rule. Writers call it before they write, and
readers while they read, so that every reader refuses a forged event.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from almanac.core.errors import RegistryError
from governance.registry.events import Event

STAGES = ("staging", "production", "archived")
POLICIES = ("none", "required")


@dataclass(frozen=True)
class Version:
    """A registered version, as its events describe it.

    Attributes:
        number: 1, 2, 3 …
        manifest: sha256 of its manifest.
        model: sha256 of its model/manifest.json, the digest that a server reports.
        proposer: who registered it.
        policy: `none` or `required`: whether production needs an approval.
        gate_passed: whether its gate.json says so.
        requires: documents that its promotion requires: file -> package that writes it, "" for Almanac itself; None in
            versions that were registered before this was recorded.
        documents: sha256 of the manifest of its documents, None before they are attached.
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
    requires: Mapping[str, str] | None = None
    documents: str | None = None
    approvals: tuple[str, ...] = ()
    rejected: str | None = None
    stage: str | None = None


@dataclass(frozen=True)
class State:
    """The state after a use case's events.

    Attributes:
        use_case: name of the use case.
        versions: by number.
        production: production versions in the order of their promotion, the current one last.
        last: the newest event, None before the first.
        digests: number -> digest of every event.
    """

    use_case: str
    versions: dict[int, Version] = field(default_factory=dict)
    production: tuple[int, ...] = ()
    last: Event | None = None
    digests: dict[int, str] = field(default_factory=dict)

    def stages(self) -> dict[str, int]:
        """Return stage -> version for staging and production, which hold one version each."""
        return {entry.stage: entry.number for entry in self.versions.values() if entry.stage in STAGES[:2]}

    def version(self, number: int) -> Version:
        """Return a version.

        Raises:
            RegistryError: there is no such version.
        """
        if number not in self.versions:
            existing = f"1 to {len(self.versions)}" if self.versions else "none yet"
            raise RegistryError(f"{self.use_case}: there is no version {number}; versions: {existing}")
        return self.versions[number]

    def find(self, selector: str) -> Version:
        """Return the version that a stage name or a version number (`3` or `v3`) selects.

        Raises:
            RegistryError: unknown, or the stage is empty.
        """
        if selector.removeprefix("v").isdigit():
            return self.version(int(selector.removeprefix("v")))
        if selector not in STAGES[:2]:
            raise RegistryError(
                f"{self.use_case}/{selector}: neither a version nor a stage; expected production, staging or a number"
            )
        number = self.stages().get(selector)
        if number is None:
            raise RegistryError(f"{self.use_case}: no version is in {selector}")
        return self.versions[number]


def same_person(one: str, other: str) -> bool:
    """Return whether two names mean one person, without regard to case and surrounding space."""
    return one.strip().casefold() == other.strip().casefold()


def fold(use_case: str, events: Iterable[Event], state: State | None = None) -> State:
    """Return the state after `events`, starting from `state` or from an empty one.

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
        RegistryError: the event breaks a rule, which the message names.
    """
    if not event.who.strip() or not event.why.strip():
        raise RegistryError(f"{event.kind}: who and why must be stated")
    moved = _APPLY[event.kind](state, event)
    return replace(moved, last=event, digests={**state.digests, event.number: event.digest})


def _registered(state: State, event: Event) -> State:
    detail = _detail(event, "manifest", "model", "approval", "gate_passed")
    if event.version != len(state.versions) + 1:
        raise RegistryError(f"version {event.version} is not the next; expected {len(state.versions) + 1}")
    if detail["approval"] not in POLICIES:
        raise RegistryError(f"approval is {detail['approval']!r}; expected none or required")
    entry = Version(
        event.version,
        detail["manifest"],
        detail["model"],
        event.who,
        detail["approval"],
        detail["gate_passed"] is True,
        event.when,
        _requirements(event),
    )
    return _with(state, entry)


def _documented(state: State, event: Event) -> State:
    entry = state.version(event.version)
    if entry.stage in (
        "production",
        "archived",
    ):  # a rollback may bring an archived version back without anybody reading it again
        stage = "archived" if entry.stage == "archived" else f"in {entry.stage}"
        raise RegistryError(f"version {entry.number} is {stage}; its documents cannot be exchanged")
    manifest = _detail(event, "manifest")["manifest"]
    # An approval is of the documents that were read: other documents need another approval.
    return _with(state, replace(entry, documents=manifest, approvals=()))


def _approved(state: State, event: Event) -> State:
    entry = _bound(state, event)
    if same_person(event.who, entry.proposer):
        raise RegistryError(f"{event.who} proposed version {entry.number} and cannot approve it; somebody else has to")
    if entry.documents is None:
        raise RegistryError(f"version {entry.number} has no documents yet; an approval needs documents to read")
    if entry.rejected:
        raise RegistryError(f"version {entry.number} was rejected by {entry.rejected}; register another version")
    approvals = entry.approvals if event.who in entry.approvals else (*entry.approvals, event.who)
    return _with(state, replace(entry, approvals=approvals))


def _rejected(state: State, event: Event) -> State:
    entry = state.version(event.version)
    if entry.stage == "production":
        raise RegistryError(f"version {entry.number} is in production; demote it or roll back first")
    stage = "archived" if entry.stage == "staging" else entry.stage
    return _with(state, replace(entry, rejected=event.who, approvals=(), stage=stage))


def _promoted(state: State, event: Event) -> State:
    stage = _detail(event, "stage")["stage"]
    entry = _bound(state, event)
    if stage not in STAGES[:2]:
        raise RegistryError(f"unknown stage {stage!r}; expected staging or production")
    may_promote(entry, stage)
    if entry.stage == stage:
        raise RegistryError(f"version {entry.number} is in {stage} already")
    history = (*state.production, entry.number) if stage == "production" else state.production
    return replace(_occupy(state, entry, stage), production=history)


def _demoted(state: State, event: Event) -> State:
    entry = state.version(event.version)
    if entry.stage not in STAGES[:2]:
        raise RegistryError(f"version {entry.number} is neither in staging nor in production")
    history = state.production[:-1] if entry.stage == "production" else state.production
    return replace(_with(state, replace(entry, stage="archived")), production=history)


def _rolled_back(state: State, event: Event) -> State:
    entry = _bound(state, event)
    history = rollback_history(state)
    if not history or history[-1] != entry.number:
        expected = history[-1] if history else f"none: {no_way_back(state)}"
        raise RegistryError(f"a rollback cannot go to version {entry.number}; expected {expected}")
    return replace(_occupy(state, entry, "production"), production=history)


def may_promote(entry: Version, stage: str) -> None:
    """Refuse a promotion that the version's gate, documents or policy do not allow.

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
    """Return the production history after a rollback; its last entry is the version that the rollback restores.

    That is the newest earlier production version that was not rejected since.
    """
    history = _earlier(state)
    while history and not _may_return(state, history[-1]):
        history = history[:-1]
    return history


def passed_over(state: State) -> list[int]:
    """Return the rejected versions that a rollback passes over, newest first."""
    over = reversed(_earlier(state)[len(rollback_history(state)) :])
    return [number for number in dict.fromkeys(over) if state.versions[number].rejected]


def no_way_back(state: State) -> str:
    """Return the reason why there is no version to roll back to."""
    rejected = "; ".join(
        f"version {number} was rejected by {state.versions[number].rejected}" for number in passed_over(state)
    )
    return f"there is no earlier production version to roll back to{f' ({rejected})' if rejected else ''}"


def _earlier(state: State) -> tuple[int, ...]:
    # After a demotion nothing is in production, and the newest of the history is an earlier version.
    return state.production[:-1] if "production" in state.stages() else state.production


def _may_return(state: State, number: int) -> bool:
    entry = state.versions[number]
    return entry.rejected is None and entry.stage != "production"  # it may have been in production twice


def _occupy(state: State, entry: Version, stage: str) -> State:
    current = state.stages().get(stage)
    if current is not None:
        state = _with(state, replace(state.versions[current], stage="archived"))
    if entry.stage == "production":
        raise RegistryError(f"version {entry.number} is in production; roll back or demote instead")
    return _with(state, replace(state.versions[entry.number], stage=stage))


def _requirements(event: Event) -> dict[str, str] | None:
    requires = event.detail.get("requires")
    if requires is None:
        return None
    if not isinstance(requires, dict) or not all(isinstance(package, str) for package in requires.values()):
        raise RegistryError(f"{event.kind}: detail's requires is {requires!r}; expected file -> package")
    return requires


def _bound(state: State, event: Event) -> Version:
    """Return the version, after checking that the event names the bytes that it has now."""
    entry = state.version(event.version)
    detail = _detail(event, "manifest", "documents")
    if (detail["manifest"], detail["documents"]) != (entry.manifest, entry.documents):
        raise RegistryError(f"version {entry.number} is no longer, or never was, what this {event.kind} event is about")
    return entry


def _detail(event: Event, *names: str) -> dict[str, Any]:
    missing = [name for name in names if name not in event.detail]
    if missing:
        raise RegistryError(f"{event.kind}: detail lacks {', '.join(missing)}")
    for name in {"manifest", "model"}.intersection(names):
        if not isinstance(event.detail[name], str):
            raise RegistryError(f"{event.kind}: detail's {name} is {event.detail[name]!r}; expected a sha256")
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
