"""Why a window breaches: what counts as the use case says, in words."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from almanac.drift.outputs import IMPORTANCE, OutputDrift
from almanac.usecase import UseCase
from monitoring.windows import false_alarm_budget


def of_drift(usecase: UseCase, drift: dict[str, Any] | None, outputs: Mapping[str, OutputDrift]) -> list[str]:
    """Return what has drifted in a window, as far as it counts.

    Args:
        usecase: the use case, whose section `drift` says what counts.
        drift: the comparison of the columns as JSON, None where it was not judged.
        outputs: by target, the model's outputs, compared.
    """
    return _counted(usecase, [*_columns(drift), *_outputs(outputs)])


def of_forecasts(usecase: UseCase, targets: Mapping[str, dict[str, Any]]) -> list[str]:
    """Return which errors and coverages a window breaches by, as far as they count.

    Args:
        usecase: the use case, whose section `drift` says what counts.
        targets: by target, error and coverage with their p-values.
    """
    return _counted(usecase, _forecasts(usecase, targets))


def _counted(usecase: UseCase, reasons: Iterable[tuple[str, str]]) -> list[str]:
    return [reason for signal, reason in reasons if signal in usecase.drift.signals]


def _columns(drift: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    if drift is not None and drift["drifted"]:
        broken = [finding["message"] for finding in drift["findings"] if finding["severity"] == "broken"]
        yield "columns", f"drift: {', '.join(drift['drifted_features'] or broken)}"


def _outputs(outputs: Mapping[str, OutputDrift]) -> Iterator[tuple[str, str]]:
    for name, found in outputs.items():
        for signal in found.drifted:
            yield signal, f"{signal}: {name} {_figure(found, signal)}"


def _figure(found: OutputDrift, signal: str) -> str:
    if signal == IMPORTANCE:
        assert found.importance is not None
        return f"nDCG {found.importance.ndcg:.3f}, least {found.importance.least:.3f}"
    feature = found.feature(signal)
    assert feature is not None
    judged = feature.judgements[feature.cause]
    return f"{feature.cause} {judged.value:.3g}, threshold {judged.threshold:.3g}"


def _forecasts(usecase: UseCase, targets: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    level = false_alarm_budget.of_forecasts(usecase, len(targets))
    for name, figures in targets.items():
        if (p := figures.get("relative_p_value")) is not None and p < level:
            yield "error", f"error: {name} {figures['relative']:.3f} of persistence's, p {p:.2g} below {level:.2g}"
        if (p := figures.get("coverage_p_value")) is not None and p < level:
            yield "coverage", f"coverage: {name} {figures['coverage']:.1%}, p {p:.2g} below {level:.2g}"
