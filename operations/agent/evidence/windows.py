"""Figures of a monitoring document's newest window: realised error, coverage, drift and staleness."""

import math
from collections.abc import Collection, Iterator
from typing import Any

#: Chance of an error or a coverage, while nothing has changed, that counts as usual.
_USUAL_CHANCE = 0.01
_LEAST_CHANCE = 1e-12


#: Measures of drift that are of one cause more than of another.
_MEASURES = ("run", "missing", "gaps", "unseen", "low", "high", "range", "resolution", "step")


def window_figures(document: dict[str, Any], targets: Collection[str]) -> dict[str, float]:
    """Return the figures of monitoring.json by name; each is 1 at the border of the usual.

    Args:
        document: monitoring.json.
        targets: columns that are forecast.
    """
    if not document.get("windows"):
        return {}
    window = document["windows"][-1]
    figures = dict(_forecasts(window["targets"].values()))
    drift = window.get("drift") or {}
    figures |= _drift(drift.get("features", []), targets)
    if residuals := [float(score) for score in _scores(window, "residual")]:
        figures["drift.residual"] = max(residuals)
    if unknown := [text for text in _messages(drift) if "seasons that the reference does not have" in text]:
        figures["drift.unknown_season"] = 1.0 + len(unknown)
    stale = document.get("staleness") or {}
    if stale.get("max_age_seconds"):
        figures["stale"] = stale["age_seconds"] / stale["max_age_seconds"]
    return figures


def _drift(features: list[dict[str, Any]], targets: Collection[str]) -> dict[str, float]:
    figures: dict[str, float] = {}

    def add(name: str, value: float) -> None:
        figures[name] = max(figures.get(name, 0.0), float(value))

    for feature in features:
        add("drift.columns", feature["score"])
        add("drift.target" if feature["name"] in targets else "drift.inputs", feature["score"])
        for measure in _MEASURES:
            if (judged := feature["statistics"].get(measure)) and judged["threshold"] > 0:
                add(f"drift.{measure}", judged["value"] / judged["threshold"])
    return figures


def _forecasts(targets: Any) -> Iterator[tuple[str, float]]:
    judged = [values for values in targets if values.get("judged")]
    for name, key in (("error", "relative_p_value"), ("coverage", "coverage_p_value")):
        chances = [values[key] for values in judged if values.get(key) is not None]
        if chances:
            yield name, math.log10(max(min(chances), _LEAST_CHANCE)) / math.log10(_USUAL_CHANCE)
    ratios = [
        values["mae"] / most
        for values in judged
        if (estimated := values.get("estimated")) and (most := estimated["mae_interval"][1]) > 0
    ]
    if ratios:
        yield "error.over_estimate", max(ratios)


def _scores(window: dict[str, Any], signal: str) -> Iterator[float]:
    for output in (window.get("outputs") or {}).values():
        part = output.get(signal)
        if isinstance(part, dict) and part.get("judged"):
            yield part["score"]


def _messages(drift: dict[str, Any]) -> list[str]:
    return [str(finding["message"]) for finding in drift.get("findings", [])]
