"""Orders to a running server that it carries out once, in all of its workers."""

from typing import TYPE_CHECKING

from operations.agent.actions import Values

if TYPE_CHECKING:
    from operations.agent.site import Site

_PATH = "/v2/repository/maintenance"


def order(site: "Site", key: str, **wanted: object) -> Values:
    """Send an order with its key, and return the server's answer."""
    found: Values = site.client().ask("POST", _PATH, {"order": key, **wanted})
    return found


def ordered(site: "Site", key: str) -> bool:
    """Return whether the server has carried out the order with this key."""
    return key in site.client().ask("GET", _PATH)["orders"]


def state(site: "Site") -> Values:
    """Return the server's log level and the orders that it has carried out."""
    found: Values = site.client().ask("GET", _PATH)
    return found
