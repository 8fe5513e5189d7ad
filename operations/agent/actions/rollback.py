"""Put the version that was in production before back."""

from typing import TYPE_CHECKING

from governance.registry import Registry
from governance.registry.stages import rollback_history
from operations.agent.actions import Action, Values

if TYPE_CHECKING:
    from operations.agent.site import Site


class _Rollback(Action):
    name = "rollback"
    title = "Put the version before back into production"
    risk = "risky"
    inverse = "the version that was rolled back is promoted again"

    def plan(self, site: "Site", cause: str) -> Values | None:
        registry = Registry(site.registry)
        current = registry.current(site.use_case)
        history = rollback_history(registry.registered(site.use_case))
        if current is None or not history:
            return None
        return {"from": current.number, "to": history[-1]}

    def observe(self, site: "Site", parameters: Values) -> Values:
        return {"production": _production(site)}

    def do(self, site: "Site", parameters: Values, before: Values, key: str) -> Values:
        registry = Registry(site.registry)
        number = registry.rollback(site.use_case, who=site.policy.name, why=f"action {key[:12]} of the agent")
        return {"production": number}

    def done(self, site: "Site", parameters: Values, before: Values, key: str) -> bool:
        mark = f"action {key[:12]} of the agent"
        return any(
            event.kind == "rolled_back" and event.why == mark for event in Registry(site.registry).log(site.use_case)
        )

    def undo(self, site: "Site", parameters: Values, before: Values, key: str) -> None:
        if _production(site) == parameters["to"]:
            why = f"action {key[:12]} of the agent did not help"
            Registry(site.registry).promote(site.use_case, parameters["from"], who=site.policy.name, why=why)


def _production(site: "Site") -> int | None:
    current = Registry(site.registry).current(site.use_case)
    return None if current is None else current.number


KIND = _Rollback()
