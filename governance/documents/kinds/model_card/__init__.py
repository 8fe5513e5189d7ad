"""Model card after Mitchell et al. 2019, "Model Cards for Model Reporting"."""

from pathlib import Path
from typing import Any

from almanac.core.usage import WATTS_PER_CORE
from governance.documents.artifacts import Artifacts
from governance.documents.kind import Document
from governance.documents.layout import REGISTRATION

_SECONDS_PER_HOUR = 3600.0


def _facts(artifacts: Artifacts) -> dict[str, Any]:
    """Return the energy that the measured processor time comes to; nothing where no time was measured."""
    seconds = artifacts.document(REGISTRATION).get("compute", {}).get("cpu_seconds")
    if seconds is None:
        return {"energy": None}
    return {"energy": {"watts_per_core": WATTS_PER_CORE, "watt_hours": seconds * WATTS_PER_CORE / _SECONDS_PER_HOUR}}


KIND = Document(
    name="model_card",
    title="Model card",
    folder=Path(__file__).parent,
    order=10,
    facts=_facts,
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
