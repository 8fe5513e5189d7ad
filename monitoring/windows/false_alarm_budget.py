"""Division of the chance of a false alarm among the columns, outputs and metrics that are judged (Bonferroni)."""

from almanac.drift.outputs import SIGNALS
from almanac.usecase import UseCase

_OF_FORECASTS = ("error", "coverage")


def drift_level(usecase: UseCase, columns: int, targets: int) -> float:
    """Return the chance of a false alarm of each column and each output of a model; all that count have equal parts.

    Args:
        usecase: the use case, whose section `drift` names the signals that count and the rate of false alarms.
        columns: columns that are judged.
        targets: targets whose outputs are judged.
    """
    signals = usecase.drift.signals
    # At least one, because a use case may let nothing count.
    counted = targets * sum(signal in signals for signal in SIGNALS) + (columns if "columns" in signals else 0)
    return usecase.drift.false_alarm_rate / max(1, counted)


def forecast_level(usecase: UseCase, targets: int) -> float:
    """Return the chance of a false alarm of each target's error, and of its coverage; they share one, as columns do."""
    counted = targets * sum(signal in usecase.drift.signals for signal in _OF_FORECASTS)
    return usecase.drift.false_alarm_rate / max(1, counted)
