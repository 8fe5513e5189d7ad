"""A model registry on plain object stores: immutable blobs, hash-chained events, stages as their fold."""

from governance.registry.address import default_url, fetch, parse_address, resolve
from governance.registry.events import Event
from governance.registry.registry import Registry
from governance.registry.state import STAGES, State, Version
from governance.registry.versions import REQUIRED_DOCUMENTS, collect

__all__ = [
    "REQUIRED_DOCUMENTS",
    "STAGES",
    "Event",
    "Registry",
    "State",
    "Version",
    "collect",
    "default_url",
    "fetch",
    "parse_address",
    "resolve",
]
