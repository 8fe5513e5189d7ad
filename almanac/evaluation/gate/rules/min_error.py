"""The error of a target must not fall below a fixed bound: a smaller one is a sign of a leak."""

from typing import Literal

from almanac.evaluation.gate.rules._fixed_bound import fixed_bound
from almanac.usecase.gate_section import GateRuleBase
from almanac.usecase.types import Name


class MinError(GateRuleBase):
    """The error must not be below this figure: it could only be so small if the outcome were among the features."""

    rule: Literal["min_error"]
    target: Name
    """Target."""
    metric: Literal["rmse", "mae", "log_loss"] = "rmse"
    """Error."""
    value: float
    """Smallest."""


KIND = fixed_bound("min_error", MinError, side=1, why=", below which a leak is suspected")
