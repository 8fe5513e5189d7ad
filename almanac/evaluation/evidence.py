"""What a target was judged by, beyond its figures: error analysis, calibration, explanations, the tuning's record."""

from dataclasses import dataclass
from typing import Any

from almanac.evaluation import error_analysis, importance
from almanac.evaluation.groups import categories_of
from almanac.evaluation.importance import Explained
from almanac.evaluation.scored_rows import Judged
from almanac.model.model import Model
from almanac.usecase import UseCase

_AGAINST = 3


@dataclass(frozen=True)
class Evidence:
    """One target's error analysis and explanations.

    Attributes:
        judged: the judged rows.
        worst_days: days with the most squared error.
        weeks: residuals week by week.
        calibration: mean truth by mean forecast.
        residuals: residuals by the forecast and by the strongest features.
        explained: SHAP values of a sample of rows.
        local: explanations of instructive rows.
        categories: meaning of the codes of each category feature.
        groups: share of each feature group in the mean size of all contributions; empty where features have none.
        tuning: the target's record of the tuning; empty where there is none.
    """

    judged: Judged
    worst_days: list[dict[str, Any]]
    weeks: list[dict[str, Any]]
    calibration: list[dict[str, Any]]
    residuals: dict[str, list[dict[str, Any]]]
    explained: Explained
    local: list[dict[str, Any]]
    categories: dict[str, list[str]]
    groups: dict[str, float]
    tuning: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the target in evaluation.json."""
        return {
            "worst_days": self.worst_days,
            "weeks": self.weeks,
            "calibration": self.calibration,
            "residuals": self.residuals,
            "importance": {
                "rows": int(self.explained.rows.size),
                "features": [{"name": name, "size": size} for name, size in self.explained.ranking()],
                "groups": self.groups,
            },
            "local": self.local,
        }


def gather(usecase: UseCase, judged: Judged, model: Model, tuning: dict[str, Any]) -> Evidence:
    """Return the evidence of one target."""
    seed = usecase.training.seed
    explained = importance.explain(model, judged, importance.sample(model, judged, seed))
    strongest = [name for name, _ in explained.ranking()[:_AGAINST]]
    forecast = {"forecast": error_analysis.against(judged.prediction, judged.prediction - judged.y)}
    return Evidence(
        judged=judged,
        worst_days=error_analysis.worst_days(judged),
        weeks=error_analysis.by_week(judged),
        calibration=error_analysis.calibration(judged),
        residuals=forecast | error_analysis.against_features(judged, model.names, strongest),
        explained=explained,
        local=importance.local(model, judged),
        categories=categories_of(model),
        groups=_shares(model, explained),
        tuning=tuning,
    )


def _shares(model: Model, explained: Explained) -> dict[str, float]:
    group_of = {feature["name"]: feature["group"] for feature in model.spec.get("features", [])}
    sums: dict[str, float] = {}
    for name, size in explained.ranking():
        if name in group_of:
            sums[group_of[name]] = sums.get(group_of[name], 0.0) + size
    total = sum(sums.values())
    return {group: size / total for group, size in sorted(sums.items(), key=lambda item: -item[1])} if total else {}
