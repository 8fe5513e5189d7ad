"""Empty the server's caches of predictions."""

from typing import TYPE_CHECKING

from operations.agent.actions import Action, Values
from operations.agent.actions._orders import order, ordered

if TYPE_CHECKING:
    from operations.agent.site import Site


class _ClearCaches(Action):
    name = "clear_caches"
    title = "Empty the caches of predictions"
    inverse = "none: caches fill by themselves"
    reversible = False

    def plan(self, site: "Site", cause: str) -> Values | None:
        return {} if site.settings.server else None

    def do(self, site: "Site", parameters: Values, before: Values, key: str) -> Values:
        order(site, key, clear_caches=True)
        return {}

    def done(self, site: "Site", parameters: Values, before: Values, key: str) -> bool:
        return ordered(site, key)


KIND = _ClearCaches()
