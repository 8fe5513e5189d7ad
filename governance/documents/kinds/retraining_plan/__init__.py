"""Retraining plan: schedule, triggers, and the metrics that the next version must reach."""

from pathlib import Path

from governance.documents.kind import Document

KIND = Document(
    name="retraining_plan",
    title="Retraining plan",
    folder=Path(__file__).parent,
    order=50,
    statements={
        "retraining_policy": "when the model is retrained, what may be changed by it, and who decides on the result",
        "decommissioning": "when and how the model is taken out of use",
    },
)
