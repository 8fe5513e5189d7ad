"""The gate: a bool from the rules in the use case, closed by default."""

from components.gate.decide import decide, registered_metrics, run
from components.gate.rules import Check

__all__ = ["Check", "decide", "registered_metrics", "run"]
