"""Confidence of causes, calibrated on faults injected into the real series and into a running server.

The confidence of a cause is a logistic function of its signs. `python -m benchmarks.agent --calibrate` has fitted the
weights on faults of 2012 and written them to `calibration.json`. No weight is negative, because the direction of a sign
is the cause's own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from math import exp
from pathlib import Path
from typing import Any

from almanac.core.errors import AgentError
from almanac.core.files import read_json
from operations.agent.causes import Sign

FILE = Path(__file__).with_name("calibration.json")
#: Weights of a cause that nobody calibrated: its strongest sign at full strength is a confidence of 0.73.
_PLAIN_BIAS, _PLAIN_WEIGHT = -3.0, 4.0


@dataclass(frozen=True)
class Calibration:
    """The bias and the weights of one cause."""

    bias: float
    weights: Mapping[str, float]

    def confidence(self, signs: Iterable[Sign]) -> float:
        """Return the confidence in a cause, from 0 to 1."""
        total = self.bias + sum(self.weights.get(sign.name, 0.0) * sign.strength for sign in signs)
        return 1 / (1 + exp(-max(-30.0, min(30.0, total))))


@cache
def calibrations() -> dict[str, Calibration]:
    """Return the calibration of each cause by name.

    Raises:
        AgentError: the file cannot be read, or is no calibration.
    """
    try:
        document: dict[str, Any] = read_json(FILE)
        return {
            name: Calibration(float(each["bias"]), {sign: float(weight) for sign, weight in each["weights"].items()})
            for name, each in document["causes"].items()
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AgentError(
            f"{FILE}: not a calibration ({error}); `python -m benchmarks.agent --calibrate` makes it"
        ) from None


def calibration_of(cause: str, names: Iterable[str]) -> Calibration:
    """Return the calibration of a cause; one from another package, which has none, has plain weights."""
    return calibrations().get(cause) or Calibration(_PLAIN_BIAS, dict.fromkeys(names, _PLAIN_WEIGHT))
