"""Forecasts of every step up to the longest horizon, made of the targets of one column.

A column with targets at some horizons, such as 1, 3, 8 and 24 hours, is forecast at every step between: by the nearest
horizon that is not before the step, from what was known that much earlier. The forecast 5 hours ahead is the one 8
hours ahead that was made 3 hours ago. It knows less than a model of 5 hours would, and needs none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from almanac.core.grid import Grid
from almanac.model.model import Model


@dataclass(frozen=True)
class Step:
    """The forecast of one step.

    Attributes:
        ahead: µs of steps from the origin to the time that is forecast.
        target: name of the target that forecasts it.
        back: µs of steps before the origin at which that forecast is made.
        grid: grid of the times.
    """

    ahead: int
    target: str
    back: int
    grid: Grid

    def due(self, origin: int) -> int:
        """Return the time that is forecast from an origin, both in µs since the epoch."""
        return self.grid.one_later(origin, self.ahead)

    def made(self, origin: int) -> int:
        """Return the time at which the forecast for an origin is made, both in µs since the epoch."""
        return self.grid.one_later(origin, -self.back)


def plan_steps(horizons: Mapping[str, int], grid: Grid) -> list[Step]:
    """Return the steps up to the longest horizon, the nearest first.

    Args:
        horizons: horizon in µs of each target of a column, by its name.
        grid: grid of the times.
    """
    ordered = sorted(horizons.items(), key=lambda item: (item[1], item[0]))
    steps = []
    for ahead in range(grid.step, ordered[-1][1] + 1, grid.step):
        name, horizon = next((name, horizon) for name, horizon in ordered if horizon >= ahead)
        steps.append(Step(ahead, name, horizon - ahead, grid))
    return steps


def horizons_by_column(targets: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, int]]:
    """Return the horizons in µs by name of each column's targets, given as name, column and horizon."""
    # Here and below, since a server starts without the feature engine.
    from almanac.usecase.types import to_microseconds

    found: dict[str, dict[str, int]] = {}
    for name, column, horizon in targets:
        found.setdefault(column, {})[name] = to_microseconds(horizon)
    return found


def steps_of(models: Mapping[str, Model]) -> dict[str, list[Step]]:
    """Return the steps of each column that the models, by name, forecast; probabilities and events have none."""
    from almanac.features.spec import FeatureSpec

    described = [
        (name, model.signature["target"], FeatureSpec.read(model.spec, f"{model.directory.path}/features.json"))
        for name, model in models.items()
        if model.spec
    ]
    grids = [(name, target, spec) for name, target, spec in described if spec.events is None]
    columns = horizons_by_column(
        (name, str(target["column"]), str(target["horizon"]))
        for name, target, _ in grids
        if target.get("above") is None
    )
    return {column: plan_steps(horizons, grids[0][2].grid) for column, horizons in columns.items()}
