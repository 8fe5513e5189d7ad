"""The choice among the candidates and blends of a target."""

from dataclasses import dataclass

import numpy as np

from almanac.core.arrays import Array
from almanac.usecase.training_section import Choose


@dataclass(frozen=True)
class Contender:
    """A tuned candidate or a blend, as it enters the comparison.

    Attributes:
        name: the candidate's name.
        losses: loss on each fold, on the same rows for every contender.
        loss: their mean, each fold weighted by the length of its training span, see `folds.fold_weights`.
        raw: out-of-fold raw predictions, all folds in order.
        weights: weight of each tuned candidate in it.
        bias: mean out-of-fold error as a share of its root mean square.
        mase_median: median over the entities of their scaled errors; None where no rule asks for it.
        noise: standard error of its loss less the smallest one; 0 where no rule asks for it.
    """

    name: str
    losses: list[float]
    loss: float
    raw: Array
    weights: dict[str, float]
    bias: float = 0.0
    mase_median: float | None = None
    noise: float = 0.0


def best(contenders: list[Contender], rule: Choose) -> Contender:
    """Return the contender with the smallest loss, or the one that is chosen among those within tolerance of it.

    So it must be in its bias: a mean error hides in a squared one as long as it is small, and stays in every forecast.
    The tolerance grows by the standard errors that the rule allows, of the difference in loss and of a mean error.
    They are compared by their median MASE where the rule asks for it, and by the order of preference otherwise.
    """
    least = min(contenders, key=lambda contender: contender.loss)
    allowed = rule.tolerance + rule.standard_errors / np.sqrt(max(least.raw.size, 1))
    fair = [one for one in contenders if abs(one.bias) <= abs(least.bias) + allowed]
    limit = least.loss * (1.0 + rule.tolerance)
    near = {one.name: one for one in fair if one.loss <= limit + rule.standard_errors * one.noise}
    if rule.then is not None and all(one.mase_median is not None for one in near.values()):
        return min(near.values(), key=lambda contender: (contender.mase_median, contender.loss))
    return next((near[name] for name in rule.prefer if name in near), least)


def rule_of(contenders: list[Contender], chosen: Contender, choose: Choose, metric: str) -> str:
    """Return the rule by which a contender was chosen, for whoever sees another with a smaller loss."""
    least = min(contenders, key=lambda contender: contender.loss)
    if chosen.loss <= least.loss:
        return f"the smallest mean {metric} over the folds, each weighted by its training rows"
    if chosen.mase_median is not None and least.mase_median is not None:
        return (
            f"the smallest median MASE of the candidates within {choose.tolerance:.1%} of the smallest mean "
            f"{metric}: {chosen.mase_median:.4f} where {least.name} has {least.mase_median:.4f}"
        )
    errors = f" and {choose.standard_errors:g} standard errors" if choose.standard_errors else ""
    return (
        f"training.choose prefers {', '.join(choose.prefer)}, in this order, within {choose.tolerance:.1%}{errors} of "
        f"the smallest mean {metric}: {chosen.name} is {chosen.loss / least.loss - 1.0:.2%} above {least.name}"
    )
