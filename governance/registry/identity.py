"""Identities behind events: a typed name, or one that a signature by a pinned key proves.

The signature is of the whole event, its number and predecessor included, so that it counts at one place of one chain.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import canonical_json
from governance.envelope import fingerprint, is_valid, load_public, sign
from governance.registry.events import Event
from governance.registry.policy import ATTESTERS, Policy

TYPED = "typed"
#: The person's own key.
KEY = "key"
PAYLOAD = "application/vnd.almanac.event+json"


@dataclass(frozen=True)
class Signer:
    """Who signs an event.

    Attributes:
        kind: `key` for a person's own key, `console` or `github` for a service that knows who approves.
        private: the PEM file of the private key.
        facts: what the service knows besides the name, such as the run of a workflow.
    """

    kind: str
    private: Path
    facts: Mapping[str, str] = field(default_factory=dict)

    def sign(self, event: Event) -> Event:
        """Return the event with the identity and its signature."""
        from governance.signing import public_key

        identity = {**self.facts, "kind": self.kind, "key": fingerprint(public_key(self.private).decode())}
        stated = replace(event, detail={**event.detail, "identity": identity})
        signature = sign(PAYLOAD, canonical_json(asdict(stated)), self.private)
        return replace(event, detail={**event.detail, "identity": {**identity, "signature": signature}})


def check_identity(event: Event, policy: Policy) -> str:
    """Return the kind of an event's identity, after checking its signature.

    Raises:
        RegistryError: a kind that does not exist, no pinned key for it, or a signature by another key or of another
            event.
    """
    identity = event.detail.get("identity", {"kind": TYPED})
    kind = identity.get("kind") if isinstance(identity, dict) else None
    if kind == TYPED:
        return TYPED
    # A person's key is found by the event's name, so that nobody signs under another person's.
    if kind == KEY:
        pinned = policy.key_of(event.who)
    elif kind in ATTESTERS:
        pinned = policy.attesters.get(kind)
    else:
        raise RegistryError(f"{event.kind}: identity is {identity!r}; expected kind typed, key, console or github")
    holder = event.who if kind == KEY else kind
    if pinned is None:
        raise RegistryError(f"{event.kind}: the registry's policy pins no key of {holder}, so nobody can check it")
    if not _signed(event, identity, pinned, holder):
        raise RegistryError(f"{event.kind}: not signed by {holder} with the pinned key {fingerprint(pinned)[:12]}…")
    return str(kind)


def _signed(event: Event, identity: dict[str, Any], pinned: str, holder: str) -> bool:
    signature = identity.get("signature")
    # The named key is signed along with the rest: an event tells by itself which key to look for.
    if not isinstance(signature, str) or identity.get("key") != fingerprint(pinned):
        return False
    stated = {name: value for name, value in identity.items() if name != "signature"}
    unsigned = replace(event, detail={**event.detail, "identity": stated})
    return is_valid(PAYLOAD, canonical_json(asdict(unsigned)), signature, load_public(pinned.encode(), holder), holder)
