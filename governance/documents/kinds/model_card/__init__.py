"""Model card after Mitchell et al. 2019, "Model Cards for Model Reporting"."""

from pathlib import Path

from governance.documents.kind import Document

KIND = Document(
    name="model_card",
    title="Model card",
    folder=Path(__file__).parent,
    order=10,
    statements={
        "intended_use": "what the forecasts are for, and for which decisions",
        "intended_users": "who is meant to use them, and what they must know to do so",
        "out_of_scope_uses": "uses that are not covered, although they suggest themselves",
        "relevant_factors": "groups, instruments and conditions that the quality of a forecast depends on",
        "metrics_rationale": "why these metrics, intervals and baselines are right for this use (Annex IV point 4)",
        "ethical_considerations": "who may be harmed or favoured, and how that was weighed",
        "caveats": "what else a user has to know before relying on a forecast",
    },
)
