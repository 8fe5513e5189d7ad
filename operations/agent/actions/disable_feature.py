"""Train again without the features of a column that is broken, by a plan that a person approves."""

from typing import TYPE_CHECKING

from operations.agent.actions import Values
from operations.agent.actions._plans import Retraining, propose

if TYPE_CHECKING:
    from operations.agent.site import Site

#: Cause -> the figure of its column.
_FIGURES = {"sensor_stuck": "run", "unit_change": "unit", "source_broken": "missing", "category_change": "recode"}


class _DisableFeature(Retraining):
    name = "disable_feature"
    title = "Train again without the features of the broken column"
    inverse = "none: a rollback brings the version before back, and the next retraining the features"

    def plan(self, site: "Site", cause: str) -> Values | None:
        figure = _FIGURES.get(cause)
        found = site.evidence.worst(figure) if figure and site.evidence else None
        usecase = site.usecase()
        # Without the target's own column there is nothing to learn.
        if found is None or usecase is None or found[0] in {target.column for target in usecase.targets}:
            return None
        return propose(site, found[0])


KIND = _DisableFeature()
