"""Load the version in production anew."""

from typing import TYPE_CHECKING

from operations.agent.actions import Action, Values
from operations.agent.actions._orders import order, ordered

if TYPE_CHECKING:
    from operations.agent.site import Site


class _ReloadModel(Action):
    name = "reload_model"
    title = "Load the version in production anew"
    inverse = "none: what is loaded is what the registry has in production"
    reversible = False

    def plan(self, site: "Site", cause: str) -> Values | None:
        return {"model": site.model} if site.settings.server else None

    def do(self, site: "Site", parameters: Values, before: Values, key: str) -> Values:
        order(site, key, reload=parameters["model"])
        return {}

    def done(self, site: "Site", parameters: Values, before: Values, key: str) -> bool:
        return ordered(site, key)


KIND = _ReloadModel()
