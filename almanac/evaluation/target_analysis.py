"""The analysis of one target: errors, calibration, explanations and the record of the tuning."""

from dataclasses import dataclass
from typing import Any

from almanac.evaluation import error_analysis, importance
from almanac.evaluation.groups import categories_of
from almanac.evaluation.importance import Explained
from almanac.evaluation.scored_rows import ScoredRows
from almanac.model.model import Model
from almanac.usecase import UseCase

#: Features whose residuals are analysed.
_STRONGEST = 3


@dataclass(frozen=True)
class TargetAnalysis:
    """Error analysis and explanations of one target.

    Attributes:
        scored: the scored rows.
        worst_days: days with the largest squared errors.
        weeks: residuals of each week.
        calibration: mean truth by mean forecast.
        residuals: residuals by the forecast and by the strongest features.
        explained: SHAP values of a sample of rows; None if the body has none.
        local: explanations of instructive rows.
        categories: values of each category feature in the order of their codes.
        groups: share of each feature group in the mean size of all contributions; empty if features have no group.
        tuning: the target's record of the tuning; empty if there is none.
    """

    scored: ScoredRows
    worst_days: list[dict[str, Any]]
    weeks: list[dict[str, Any]]
    calibration: list[dict[str, Any]]
    residuals: dict[str, list[dict[str, Any]]]
    explained: Explained | None
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
                "rows": 0 if self.explained is None else int(self.explained.rows.size),
                "features": [{"name": name, "size": size} for name, size in _ranking(self.explained)],
                "groups": self.groups,
            },
            "local": self.local,
        }


def analyse(usecase: UseCase, scored: ScoredRows, model: Model, tuning: dict[str, Any]) -> TargetAnalysis:
    """Return the analysis of one target."""
    seed = usecase.training.seed
    explained = importance.explain(model, scored, importance.sample(model, scored, seed))
    strongest = [name for name, _ in _ranking(explained)[:_STRONGEST]]
    forecast = {"forecast": error_analysis.against(scored.prediction, scored.prediction - scored.y)}
    return TargetAnalysis(
        scored=scored,
        worst_days=error_analysis.worst_days(scored),
        weeks=error_analysis.by_week(scored),
        calibration=error_analysis.calibration(scored),
        residuals=forecast | error_analysis.against_features(scored, model.names, strongest),
        explained=explained,
        local=importance.local(model, scored),
        categories=categories_of(model),
        groups=_shares(model, explained),
        tuning=tuning,
    )


def _ranking(explained: Explained | None) -> list[tuple[str, float]]:
    return [] if explained is None else explained.ranking()


def _shares(model: Model, explained: Explained | None) -> dict[str, float]:
    group_of = {feature["name"]: feature["group"] for feature in model.spec.get("features", [])}
    sums: dict[str, float] = {}
    for name, size in _ranking(explained):
        # A model without a specification of its features has no groups.
        if name in group_of:
            sums[group_of[name]] = sums.get(group_of[name], 0.0) + size
    total = sum(sums.values())
    return {group: size / total for group, size in sorted(sums.items(), key=lambda item: -item[1])} if total else {}
