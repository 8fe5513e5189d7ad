"""Policy of a registry's use case: whether production needs an approval, who may give it, and which keys count.

It is kept in events of the use case, not in a caller's file: a caller's option, file or environment can ask for more
than the policy, and never for less.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from almanac.core.errors import RegistryError
from almanac.core.files import canonical_json, sha256_bytes
from almanac.core.people import check_person, same_person
from almanac.core.yaml_text import parse_yaml
from governance.envelope import canonical_pem

#: From the least strict to the strictest.
APPROVALS = ("none", "required")
IDENTITIES = ("typed", "verified")
DOCUMENTS = ("draft", "complete")
#: Services that tell who approves: the console's login, and a GitHub environment with required reviewers.
ATTESTERS = ("console", "github")


@dataclass(frozen=True)
class Policy:
    """A policy; the default asks for nothing.

    Attributes:
        approval: `none` or `required`: whether production needs an approval by somebody other than the proposer.
        identity: `typed`: an approver's name counts as it is given; `verified`: only with a pinned key's signature.
        approvers: who may approve; anybody but the proposer if empty.
        people: name -> public key (PEM) by which that person signs approvals.
        attesters: `console` or `github` -> public key (PEM) by which that service signs approvals of its users.
        signers: name -> public key (PEM); a promoted model must be signed with one of them, if there are any.
        documents: `complete`: production needs documents in which everything is stated; `draft`: it does not; when
            empty, it does where it needs an approval.
    """

    approval: str = "none"
    identity: str = "typed"
    approvers: tuple[str, ...] = ()
    people: Mapping[str, str] = field(default_factory=dict)
    attesters: Mapping[str, str] = field(default_factory=dict)
    signers: Mapping[str, str] = field(default_factory=dict)
    documents: str = ""

    @property
    def digest(self) -> str:
        """The sha256 of the policy, by which people recognise the one that they approve."""
        return sha256_bytes(canonical_json(self.to_dict()))

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as an event holds it."""
        written = {**asdict(self), "approvers": list(self.approvers)}
        # Left out when empty, so that the digests of earlier policies stay as they were.
        return written if self.documents else {name: value for name, value in written.items() if name != "documents"}

    def may_approve(self, who: str) -> bool:
        """Return whether the policy lets this person approve at all."""
        return not self.approvers or any(same_person(who, one) for one in self.approvers)

    def key_of(self, who: str) -> str | None:
        """Return the pinned key of a person, None without one."""
        return next((pem for name, pem in self.people.items() if same_person(name, who)), None)


def stricter(one: str, other: str) -> str:
    """Return the stricter of two rules on approvals."""
    return max(one, other, key=APPROVALS.index)


def parse_policy(value: Any, where: str) -> Policy:
    """Return the policy that a mapping describes; absent fields have their defaults.

    Args:
        value: the mapping.
        where: file or event, for errors.

    Raises:
        RegistryError: an unknown field, or a value of another form, named.
    """
    names = [entry.name for entry in fields(Policy)]
    if not isinstance(value, Mapping) or (unknown := [name for name in value if name not in names]):
        given = f"has no field {unknown[0]!r}" if isinstance(value, Mapping) else f"is {value!r}"
        raise RegistryError(f"{where}: the policy {given}; expected {', '.join(names)}")
    for name, allowed in (("approval", APPROVALS), ("identity", IDENTITIES), ("documents", DOCUMENTS)):
        if name in value and value[name] not in allowed:
            raise RegistryError(f"{where}: {name} is {value[name]!r}; expected {' or '.join(allowed)}")
    approvers = value.get("approvers", ())
    if not isinstance(approvers, list | tuple) or not all(isinstance(name, str) for name in approvers):
        raise RegistryError(f"{where}: approvers is {approvers!r}; expected a list of names")
    keys = {name: _keys(value.get(name, {}), f"{where}: {name}") for name in ("people", "attesters", "signers")}
    # A misspelt service would otherwise pin a key that no event ever names.
    if other := sorted(keys["attesters"].keys() - set(ATTESTERS)):
        raise RegistryError(f"{where}: attesters names {other[0]!r}; expected {' or '.join(ATTESTERS)}")
    approval, identity = value.get("approval", "none"), value.get("identity", "typed")
    documents = value.get("documents", "")
    policy = Policy(approval, identity, tuple(approvers), keys["people"], keys["attesters"], keys["signers"], documents)
    _check_people(policy)
    return policy


def read_policy(path: Path) -> Policy:
    """Return the policy in a YAML file; a key may be a PEM text or a file in the same directory.

    Raises:
        RegistryError: unreadable, or not a policy.
    """
    try:
        value = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RegistryError(f"{path}: cannot be read as a policy ({error})") from error
    for name in ("people", "attesters", "signers"):
        keys = value.get(name) if isinstance(value, dict) else None
        if isinstance(keys, dict):
            value[name] = {holder: _pem(key, path, f"{name}.{holder}") for holder, key in keys.items()}
    policy = parse_policy(value, str(path))
    # Asked of files only: nobody could ever approve again, and not even the change back.
    if policy.identity == "verified" and not (policy.people or policy.attesters):
        raise RegistryError(f"{path}: identity is verified, and no key of people or attesters is pinned to verify with")
    return policy


def _pem(key: Any, path: Path, name: str) -> Any:
    if not isinstance(key, str) or "-----BEGIN" in key:
        return key
    try:
        return (path.parent / key).read_text()
    except (OSError, ValueError) as error:
        raise RegistryError(f"{path}: {name}: neither a PEM public key nor a readable file ({error})") from error


def _keys(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(part, str) for item in value.items() for part in item):
        raise RegistryError(f"{where} is {value!r}; expected name -> PEM public key")
    # Written anew, so that two policies with the same keys are the same policy.
    return {name: canonical_pem(pem.encode(), f"{where}.{name}") for name, pem in sorted(value.items())}


def _check_people(policy: Policy) -> None:
    # Comparing every pair also refuses names that look alike, of which one could stand in for the other.
    for names in (policy.approvers, tuple(policy.people)):
        for index, name in enumerate(names):
            check_person(name)
            if any(same_person(name, earlier) for earlier in names[:index]):
                raise RegistryError(f"policy: {name!r} is named twice")
