"""Section on the gate: fields common to its rules."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from almanac.core.kinds import Kinds
from almanac.usecase.types import Section, absent, union_of


class GateRuleBase(Section):
    """The field of every rule; each module of `almanac.evaluation.gate.rules` adds those of its rule."""

    rule: str
    """Name of the rule."""


#: Chance that the whole gate refuses a model as good as the registered one, shared by the rules that can by chance.
FALSE_REFUSALS = 0.05


class ChanceRule(GateRuleBase):
    """The field of every rule that can refuse a good model by chance."""

    false_refusals: Annotated[float | None, Field(gt=0, le=FALSE_REFUSALS), absent(None)] = None
    """Chance that the rule refuses a good model, for all targets together. By default an equal part of what the other
    rules leave of 5%, the whole gate's."""


GATE_RULES: Kinds[Any] = Kinds("gate rule", "almanac.evaluation.gate.rules")

if TYPE_CHECKING:
    GateRule = GateRuleBase
else:
    GateRule = union_of(GATE_RULES, "rule")
