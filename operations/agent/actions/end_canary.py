"""Give the running version all requests back, once the canary is beyond its bound."""

from typing import TYPE_CHECKING

from almanac.core.errors import AgentError
from operations.agent.actions import Action, Values

if TYPE_CHECKING:
    from operations.agent.site import Site

_ACTIVE = ("running", "promote")


class _EndCanary(Action):
    name = "end_canary"
    title = "Give the version before all requests back"
    inverse = "the canary is started again with its share"

    def plan(self, site: "Site", cause: str) -> Values | None:
        if not site.settings.server:
            return None
        try:
            canary = _state(site)
        except AgentError:
            return None
        beyond = any((each["excess_low"] or 0) > 0 for each in canary["measures"].values())
        if canary["state"] != "failed" and not (canary["state"] in _ACTIVE and beyond):
            return None
        return {"version": canary["new_version"], "percent": canary["percent"]}

    def observe(self, site: "Site", parameters: Values) -> Values:
        return {"state": _state(site)["state"]}

    def do(self, site: "Site", parameters: Values, before: Values, key: str) -> Values:
        canary = site.client().ask("POST", _path(site), {"end": True})
        return {"state": canary["state"], "running_version": canary["running_version"]}

    def done(self, site: "Site", parameters: Values, before: Values, key: str) -> bool:
        canary = _state(site)
        return bool(canary["new_version"] == parameters["version"] and canary["state"] == "ended")

    def undo(self, site: "Site", parameters: Values, before: Values, key: str) -> None:
        # A canary that the server itself had ended was at an end before.
        if before["state"] in _ACTIVE and _state(site)["state"] == "ended":
            wanted = {"version": str(parameters["version"]), "percent": parameters["percent"]}
            site.client().ask("POST", _path(site), wanted)

    def helped(self, site: "Site", result: Values) -> bool | None:
        # The other version has no requests, whatever a gauge of the past still shows.
        return bool(_state(site)["state"] == "ended")


def _path(site: "Site") -> str:
    return f"/v2/repository/models/{site.model}/canary"


def _state(site: "Site") -> Values:
    found: Values = site.client().ask("GET", _path(site))
    return found


KIND = _EndCanary()
