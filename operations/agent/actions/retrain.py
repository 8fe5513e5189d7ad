"""Train again on the newest data, by a plan that a person approves."""

from typing import TYPE_CHECKING

from operations.agent.actions import Values
from operations.agent.actions._plans import Retraining, propose

if TYPE_CHECKING:
    from operations.agent.site import Site


class _Retrain(Retraining):
    name = "retrain"
    title = "Train again on the newest data"
    inverse = "none: the gate decides on the version, and a rollback brings the one before back"

    def plan(self, site: "Site", cause: str) -> Values | None:
        return propose(site)


KIND = _Retrain()
