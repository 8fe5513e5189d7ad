"""Reasons for the breach of a window, in words, by the signals that count in the use case."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from almanac.drift.outputs import IMPORTANCE, OutputDrift
from almanac.usecase import UseCase
from monitoring.windows.false_alarm_budget import forecast_level


def drift_reasons(usecase: UseCase, drift: dict[str, Any] | None, outputs: Mapping[str, OutputDrift]) -> list[str]:
    """Return the drifts of a window that count.

    Args:
        usecase: the use case, whose section `drift` names the signals that count.
        drift: the comparison of the columns as JSON, None where it was not judged.
        outputs: by target, the model's outputs, compared.
    """
    return _counted(usecase, [*_columns(drift), *_outputs(outputs)])


def forecast_reasons(usecase: UseCase, targets: Mapping[str, dict[str, Any]]) -> list[str]:
    """Return the errors and coverages of a window that breach and count.

    Args:
        usecase: the use case, whose section `drift` names the signals that count.
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
    for name, output in outputs.items():
        for signal in output.drifted:
            yield signal, f"{signal}: {name} {_measured(output, signal)}"


def _measured(output: OutputDrift, signal: str) -> str:
    if signal == IMPORTANCE:
        assert output.importance is not None
        return f"nDCG {output.importance.ndcg:.3f}, least {output.importance.least:.3f}"
    feature = output.feature(signal)
    assert feature is not None
    judged = feature.judgements[feature.cause]
    return f"{feature.cause} {judged.value:.3g}, threshold {judged.threshold:.3g}"


def _forecasts(usecase: UseCase, targets: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    level = forecast_level(usecase, len(targets))
    for name, metrics in targets.items():
        if (p := metrics.get("relative_p_value")) is not None and p < level:
            yield "error", f"error: {name} {metrics['relative']:.3f} of persistence's, p {p:.2g} below {level:.2g}"
        if (p := metrics.get("coverage_p_value")) is not None and p < level:
            yield "coverage", f"coverage: {name} {metrics['coverage']:.1%}, p {p:.2g} below {level:.2g}"
