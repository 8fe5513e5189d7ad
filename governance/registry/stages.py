"""Transitions of a version's life: registration, documents, approval, rejection, promotion, demotion, rollback."""

from dataclasses import replace

from almanac.core.errors import RegistryError
from almanac.core.people import same_person
from governance.registry.events import Event
from governance.registry.identity import TYPED, check_identity
from governance.registry.policy import APPROVALS, stricter
from governance.registry.state import STAGES, Approval, State, Version, detail_of


def registered(state: State, event: Event) -> State:
    """Add a version."""
    detail = detail_of(event, "manifest", "model", "approval", "gate_passed")
    if event.version != len(state.versions) + 1:
        raise RegistryError(f"version {event.version} is not the next; expected {len(state.versions) + 1}")
    if detail["approval"] not in APPROVALS:
        raise RegistryError(f"approval is {detail['approval']!r}; expected none or required")
    if state.policy is not None and stricter(detail["approval"], state.policy.approval) != detail["approval"]:
        raise RegistryError(
            f"version {event.version} is registered with approval {detail['approval']}; the registry's policy asks for "
            f"{state.policy.approval}"
        )
    # A manifest is registered once: a second number for it would be free of the first one's rejection.
    if twin := next((one for one in state.versions.values() if one.manifest == detail["manifest"]), None):
        raise RegistryError(f"version {event.version} has the manifest that was registered as version {twin.number}")
    if not isinstance(detail["gate_passed"], bool):
        raise RegistryError(f"gate_passed is {detail['gate_passed']!r}; expected true or false")
    entry = Version(
        number=event.version,
        manifest=detail["manifest"],
        model=detail["model"],
        proposer=event.who,
        policy=detail["approval"],
        gate_passed=detail["gate_passed"],
        registered_at=event.when,
        requires=_requirements(event),
    )
    return _with(state, entry)


def documented(state: State, event: Event) -> State:
    """Attach documents."""
    entry = state.version(event.version)
    # A rollback may bring an archived version back without anybody reading it again.
    if entry.stage in ("production", "archived"):
        stage = "archived" if entry.stage == "archived" else f"in {entry.stage}"
        raise RegistryError(f"version {entry.number} is {stage}; its documents cannot be exchanged")
    manifest = detail_of(event, "manifest")["manifest"]
    # An approval is of the documents that were read: other documents need another approval.
    return _with(state, replace(entry, documents=manifest, approvals=()))


def approved(state: State, event: Event) -> State:
    """Add an approval of the present documents."""
    entry = _bound(state, event)
    identity = check_approver(state, event, entry.proposer, f"version {entry.number}")
    # Approving before the documents are there would be approving what nobody has read.
    if entry.documents is None:
        raise RegistryError(f"version {entry.number} has no documents yet; an approval needs documents to read")
    if entry.rejected:
        raise RegistryError(f"version {entry.number} was rejected by {entry.rejected}; register another version")
    approval = Approval(event.who, identity, event.number)
    # A person counts once; a later approval may have a better proof of who it was.
    others = tuple(each for each in entry.approvals if not same_person(each.who, event.who))
    # A typed name that repeats a proven approval must not replace its proof.
    if identity == TYPED and len(others) < len(entry.approvals):
        return state
    return _with(state, replace(entry, approvals=(*others, approval)))


def check_approver(state: State, event: Event, proposer: str, what: str) -> str:
    """Return the kind of the approver's identity.

    Raises:
        RegistryError: the proposer, somebody whom the policy does not name, or a name without the proof it asks for.
    """
    policy = state.in_force()
    if same_person(event.who, proposer):
        raise RegistryError(f"{event.who} proposed {what} and cannot approve it; somebody else has to")
    if not policy.may_approve(event.who):
        raise RegistryError(f"{event.who} may not approve {what}; the policy names {', '.join(policy.approvers)}")
    identity = check_identity(event, policy)
    if identity == TYPED and policy.identity == "verified":
        raise RegistryError(
            f"{event.who} is a typed name, and the registry's policy counts verified identities only: sign with a "
            "pinned key, or approve in the console or in a GitHub environment"
        )
    return identity


def rejected(state: State, event: Event) -> State:
    """Reject a version for good."""
    entry = state.version(event.version)
    # Rejecting would empty production as a side effect, which is an operator's decision of its own.
    if entry.stage == "production":
        raise RegistryError(f"version {entry.number} is in production; demote it or roll back first")
    stage = "archived" if entry.stage == "staging" else entry.stage
    # An alias would go on leading users to it.
    aliases = {alias: number for alias, number in state.aliases.items() if number != entry.number}
    return replace(_with(state, replace(entry, rejected=event.who, approvals=(), stage=stage)), aliases=aliases)


def promoted(state: State, event: Event) -> State:
    """Put a version into a stage."""
    stage = detail_of(event, "stage")["stage"]
    entry = _bound(state, event)
    if stage not in STAGES[:2]:
        raise RegistryError(f"unknown stage {stage!r}; expected staging or production")
    may_promote(state, entry, stage)
    if entry.stage == stage:
        raise RegistryError(f"version {entry.number} is in {stage} already")
    history = (*state.production, entry.number) if stage == "production" else state.production
    return replace(_occupy(state, entry, stage), production=history)


def demoted(state: State, event: Event) -> State:
    """Take a version out of its stage."""
    entry = state.version(event.version)
    if entry.stage not in STAGES[:2]:
        raise RegistryError(f"version {entry.number} is neither in staging nor in production")
    # Taken out of the history, so that a rollback does not lead back to what was just taken out.
    history = state.production[:-1] if entry.stage == "production" else state.production
    return replace(_with(state, replace(entry, stage="archived")), production=history)


def rolled_back(state: State, event: Event) -> State:
    """Restore an earlier production version."""
    entry = _bound(state, event)
    history = rollback_history(state)
    if not history or history[-1] != entry.number:
        expected = history[-1] if history else f"none: {no_way_back(state)}"
        raise RegistryError(f"a rollback cannot go to version {entry.number}; expected {expected}")
    return replace(_occupy(state, entry, "production"), production=history)


def may_promote(state: State, entry: Version, stage: str) -> None:
    """Refuse a promotion that the version's gate or documents, or the policy, do not allow.

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
    if stage == "production" and state.needs_approval(entry) and not state.counted(entry):
        # Whoever sees an approval in the list needs to know why it was not enough.
        given = ", ".join(f"{each.who} ({each.identity})" for each in entry.approvals)
        note = f"; the policy in force does not count that of {given}" if given else ""
        raise RegistryError(
            f"{name} needs an approval by somebody other than {entry.proposer} before it goes to production{note}"
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
    detail = detail_of(event, "manifest", "documents")
    if (detail["manifest"], detail["documents"]) != (entry.manifest, entry.documents):
        raise RegistryError(f"version {entry.number} is no longer, or never was, what this {event.kind} event is about")
    return entry


def _with(state: State, entry: Version) -> State:
    return replace(state, versions={**state.versions, entry.number: entry})
