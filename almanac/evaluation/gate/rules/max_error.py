"""The error of a target must not exceed a fixed bound."""

from typing import Literal

from almanac.evaluation.gate.rules._fixed_bound import fixed_bound
from almanac.usecase.gate_section import GateRuleBase
from almanac.usecase.types import Name


class MaxError(GateRuleBase):
    """The error must not exceed this figure."""

    rule: Literal["max_error"]
    target: Name
    """Target."""
    metric: Literal["rmse", "mae", "log_loss", "ece", "mdape", "mae_log"] = "rmse"
    """Error."""
    value: float
    """Largest."""


KIND = fixed_bound("max_error", MaxError, side=-1)
