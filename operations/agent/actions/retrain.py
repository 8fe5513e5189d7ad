"""Train again on the newest data, by a plan that a person approves."""

from typing import TYPE_CHECKING

from operations.agent.actions import Action, Values
from operations.agent.actions._plans import approved, execute, executed, going_on, helped, propose, recall

if TYPE_CHECKING:
    from operations.agent.site import Site


class _Retrain(Action):
    name = "retrain"
    title = "Train again on the newest data"
    risk = "risky"
    inverse = "none: the gate decides on the version, and a rollback brings the one before back"
    reversible = False

    def plan(self, site: "Site", cause: str) -> Values | None:
        return propose(site)

    def do(self, site: "Site", parameters: Values, before: Values, key: str) -> Values:
        return execute(site, parameters)

    def done(self, site: "Site", parameters: Values, before: Values, key: str) -> bool:
        return executed(site, parameters)

    def approved(self, site: "Site", parameters: Values) -> bool | None:
        return approved(site, parameters)

    def recall(self, site: "Site", parameters: Values) -> Values:
        return recall(site, parameters)

    def going_on(self, site: "Site", result: Values) -> bool:
        return going_on(site, result)

    def helped(self, site: "Site", result: Values) -> bool | None:
        return helped(site, result)


KIND = _Retrain()
