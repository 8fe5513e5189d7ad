"""Log every request of the server for a while."""

from typing import TYPE_CHECKING

from operations.agent.actions import Action, Values
from operations.agent.actions._orders import order, ordered, state

if TYPE_CHECKING:
    from operations.agent.site import Site


class _RaiseLogLevel(Action):
    name = "raise_log_level"
    title = "Log every request for a while"
    inverse = "the level before is set again; it returns by itself as well"
    mends = False

    def plan(self, site: "Site", cause: str) -> Values | None:
        return {"seconds": site.policy.log_seconds} if site.settings.server else None

    def observe(self, site: "Site", parameters: Values) -> Values:
        return {"log_level": state(site)["log_level"]}

    def do(self, site: "Site", parameters: Values, before: Values, key: str) -> Values:
        found = order(site, key, log_level="debug", seconds=parameters["seconds"])
        return {"log_level": found["log_level"], "seconds": found["seconds"]}

    def done(self, site: "Site", parameters: Values, before: Values, key: str) -> bool:
        return ordered(site, key)

    def undo(self, site: "Site", parameters: Values, before: Values, key: str) -> None:
        order(site, f"{key}-undo", log_level=before["log_level"])

    def helped(self, site: "Site", result: Values) -> bool | None:
        return True


KIND = _RaiseLogLevel()
