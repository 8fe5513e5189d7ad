"""Model registry on plain object stores: immutable blobs, hash-chained events, and stages that follow from them."""

from governance.registry.address import default_url, fetch, parse_address, require_address, resolve
from governance.registry.events import Event
from governance.registry.identity import Signer
from governance.registry.policy import Policy, parse_policy, read_policy
from governance.registry.registry import Registry
from governance.registry.state import STAGES, Approval, State, Version
from governance.registry.versions import collect

__all__ = [
    "STAGES",
    "Approval",
    "Event",
    "Policy",
    "Registry",
    "Signer",
    "State",
    "Version",
    "collect",
    "default_url",
    "fetch",
    "parse_address",
    "parse_policy",
    "read_policy",
    "require_address",
    "resolve",
]
