"""How the chance of a false alarm is divided among all that is judged of a window."""

from almanac.drift.outputs import SIGNALS
from almanac.usecase import UseCase

_OF_FORECASTS = ("error", "coverage")


def of_drift(usecase: UseCase, columns: int, targets: int) -> float:
    """Return the chance that each column and each output of a model is given; all that count have equal parts.

    Args:
        usecase: the use case, whose section `drift` says what counts, and how often a false alarm may come.
        columns: columns that are judged.
        targets: targets whose outputs are judged.
    """
    signals = usecase.drift.signals
    counted = targets * sum(signal in signals for signal in SIGNALS) + (columns if "columns" in signals else 0)
    return usecase.drift.false_alarm_rate / max(1, counted)


def of_forecasts(usecase: UseCase, targets: int) -> float:
    """Return the chance that each target's error, and its coverage, is given: they share one, as the columns do."""
    counted = targets * sum(signal in usecase.drift.signals for signal in _OF_FORECASTS)
    return usecase.drift.false_alarm_rate / max(1, counted)
