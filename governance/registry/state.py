"""State of a use case after its events: versions with their approvals, stages and labels, and the policy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from almanac.core.errors import RegistryError
from governance.registry.events import Event
from governance.registry.policy import Policy

STAGES = ("staging", "production", "archived")
#: Version of the events that are about the whole use case.
WHOLE = 0


@dataclass(frozen=True)
class Approval:
    """An approval of a version's present documents.

    Attributes:
        who: the approver.
        identity: `typed`, `key`, `console` or `github`: what proves the name.
        event: number of the event.
    """

    who: str
    identity: str
    event: int


@dataclass(frozen=True)
class Version:
    """A registered version, as its events describe it.

    Attributes:
        number: 1, 2, 3 …
        manifest: sha256 of its manifest.
        model: sha256 of its model/manifest.json, the digest that a server reports.
        proposer: who registered it.
        policy: `none` or `required`: what its registration asks for; the registry's policy may ask for more.
        gate_passed: whether its gate.json says so.
        registered_at: ISO 8601 in UTC.
        requires: documents that its promotion requires: file -> package that writes it, "" for Almanac itself; None in
            versions that were registered before this was recorded.
        documents: sha256 of the manifest of its documents, None before they are attached.
        approvals: the approvals of these documents.
        rejected: who rejected it, None if nobody did.
        stage: staging, production, archived, or None.
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
    approvals: tuple[Approval, ...] = ()
    rejected: str | None = None
    stage: str | None = None


@dataclass(frozen=True)
class Labels:
    """Tags and description of a version or of a use case; they decide nothing."""

    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True)
class Proposal:
    """A change of the policy that waits for its approval."""

    event: int
    policy: Policy
    who: str


@dataclass(frozen=True)
class State:
    """The state after a use case's events.

    Attributes:
        use_case: name of the use case.
        versions: by number.
        production: production versions in the order of their promotion, the current one last.
        last: the newest event, None before the first.
        latest: the latest time of an event so far.
        digests: number -> digest of every event.
        ids: the id of every event.
        policy: the registry's policy; None in a chain of the first release, and before the first event.
        policy_source: `registration`, or `person` for a policy that somebody has set.
        proposal: the newest proposal of another policy, None if none waits.
        aliases: alias -> version.
        labels: by version; those of the use case under WHOLE.
    """

    use_case: str
    versions: dict[int, Version] = field(default_factory=dict)
    production: tuple[int, ...] = ()
    last: Event | None = None
    latest: datetime | None = None
    digests: Mapping[int, str] = field(default_factory=dict)
    ids: frozenset[str] | set[str] = frozenset()
    policy: Policy | None = None
    policy_source: str = ""
    proposal: Proposal | None = None
    aliases: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[int, Labels] = field(default_factory=dict)

    def stages(self) -> dict[str, int]:
        """Return stage -> version for staging and production, which hold one version each."""
        return {entry.stage: entry.number for entry in self.versions.values() if entry.stage in STAGES[:2]}

    def in_force(self) -> Policy:
        """Return the policy that holds now; without one, the strictest that any version was registered with."""
        if self.policy is not None:
            return self.policy
        required = any(entry.policy == "required" for entry in self.versions.values())
        return Policy(approval="required" if required else "none")

    def needs_approval(self, entry: Version) -> bool:
        """Return whether production needs an approval of the version."""
        # Before a registry had a policy, each version had its own; such a history stays what it was.
        rules = (entry.policy,) if self.policy is None else (entry.policy, self.policy.approval)
        return "required" in rules

    def needs_documents(self, entry: Version) -> bool:
        """Return whether production needs documents in which everything is stated."""
        asked = self.in_force().documents
        return asked == "complete" or (not asked and self.needs_approval(entry))

    def counted(self, entry: Version) -> tuple[Approval, ...]:
        """Return the version's approvals that the policy in force counts."""
        policy = self.in_force()
        typed = policy.identity == "typed"
        return tuple(
            each for each in entry.approvals if (typed or each.identity != "typed") and policy.may_approve(each.who)
        )

    def status(self, entry: Version) -> str:
        """Return the one word for a version that people ask for first."""
        if entry.rejected:
            return "rejected"
        if entry.stage:
            return entry.stage
        if not entry.gate_passed:
            return "gate closed"
        if entry.documents is None:
            return "undocumented"
        if not self.needs_approval(entry):
            return "ready"
        return "approved" if self.counted(entry) else "awaits approval"

    def labels_of(self, number: int) -> Labels:
        """Return the tags and the description of a version, or of the use case for WHOLE."""
        return self.labels.get(number, Labels())

    def aliases_of(self, number: int) -> list[str]:
        """Return the aliases of a version, sorted."""
        return sorted(alias for alias, version in self.aliases.items() if version == number)

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
        """Return the version that a stage, an alias (`@champion`) or a number (`3` or `v3`) selects.

        Raises:
            RegistryError: unknown, or the stage is empty.
        """
        if selector.removeprefix("v").isdecimal():
            return self.version(int(selector.removeprefix("v")))
        if selector.startswith("@"):
            return self.version(self._aliased(selector[1:]))
        if selector not in STAGES[:2]:
            raise RegistryError(
                f"{self.use_case}/{selector}: neither a version nor a stage; expected production, staging or a number"
            )
        number = self.stages().get(selector)
        if number is None:
            raise RegistryError(f"{self.use_case}: no version is in {selector}")
        return self.versions[number]

    def _aliased(self, alias: str) -> int:
        if alias not in self.aliases:
            known = ", ".join(f"@{name}" for name in sorted(self.aliases)) or "none"
            raise RegistryError(f"{self.use_case}: there is no alias @{alias}; aliases: {known}")
        return self.aliases[alias]


def detail_of(event: Event, *names: str) -> dict[str, Any]:
    """Return an event's detail, after checking that it has these fields, and digests where they belong.

    Raises:
        RegistryError: a missing field, or one of another type.
    """
    missing = [name for name in names if name not in event.detail]
    if missing:
        raise RegistryError(f"{event.kind}: detail lacks {', '.join(missing)}")
    for name in {"manifest", "model"}.intersection(names):
        if not isinstance(event.detail[name], str):
            raise RegistryError(f"{event.kind}: detail's {name} is {event.detail[name]!r}; expected a sha256")
    return event.detail
