"""Double or halve the least replicas of an InferenceService, within the policy's bounds."""

from typing import TYPE_CHECKING

from operations.agent.actions import Action, Values

if TYPE_CHECKING:
    from operations.agent.site import Site


class _ScaleService(Action):
    name = "scale_service"
    title = "Run more replicas"
    inverse = "the replicas before are set again"

    def plan(self, site: "Site", cause: str) -> Values | None:
        service = site.settings.service
        if service is None:
            return None
        now, most = site.replicas()
        wanted = min(most, max(service.lowest, 2 * max(1, now)))
        return {"replicas": wanted} if wanted > now and wanted >= service.lowest else None

    def observe(self, site: "Site", parameters: Values) -> Values:
        return {"replicas": site.replicas()[0]}

    def do(self, site: "Site", parameters: Values, before: Values, key: str) -> Values:
        site.set_replicas(parameters["replicas"])
        return {"replicas": parameters["replicas"]}

    def done(self, site: "Site", parameters: Values, before: Values, key: str) -> bool:
        return bool(site.replicas()[0] == parameters["replicas"])

    def undo(self, site: "Site", parameters: Values, before: Values, key: str) -> None:
        site.set_replicas(before["replicas"], bounded=False)


KIND = _ScaleService()
