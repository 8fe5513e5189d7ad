"""Pause the schedules of a use case's pipelines, so that none trains or predicts on broken data."""

from typing import TYPE_CHECKING

from operations.agent.actions import Action, Values

if TYPE_CHECKING:
    from operations.agent.site import Site


class _PauseSchedule(Action):
    name = "pause_schedule"
    title = "Pause the schedules"
    inverse = "the schedules that ran before run again"
    mends = False

    def plan(self, site: "Site", cause: str) -> Values | None:
        if site.settings.schedules is None:
            return None
        running = [name for name, runs in site.schedules().items() if runs]
        return {"names": running} if running else None

    def observe(self, site: "Site", parameters: Values) -> Values:
        return {"running": [name for name, runs in site.schedules().items() if runs]}

    def do(self, site: "Site", parameters: Values, before: Values, key: str) -> Values:
        for name in parameters["names"]:
            site.set_schedule(name, run=False)
        return {"paused": parameters["names"]}

    def done(self, site: "Site", parameters: Values, before: Values, key: str) -> bool:
        states = site.schedules()
        return not any(states.get(name, False) for name in parameters["names"])

    def undo(self, site: "Site", parameters: Values, before: Values, key: str) -> None:
        for name in before["running"]:
            site.set_schedule(name, run=True)

    def helped(self, site: "Site", result: Values) -> bool | None:
        # It keeps damage from spreading, and mends nothing; a person releases the schedules once the source is mended.
        return True


KIND = _PauseSchedule()
