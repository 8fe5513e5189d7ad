"""Technical documentation after Annex IV of the EU AI Act (Regulation 2024/1689)."""

from pathlib import Path
from typing import Any

from governance.documents.artifacts import Artifacts
from governance.documents.kind import Document

#: The reports of tests: every figure, what it follows from, its analysis, and the decision on it.
_REPORTS = ("metrics.json", "predictions.parquet", "evaluation.json", "gate.json")


def _facts(artifacts: Artifacts) -> dict[str, Any]:
    return {"reports": {name: artifacts[name].sha256 for name in _REPORTS if name in artifacts}}


KIND = Document(
    name="annex_iv",
    title="Technical documentation (EU AI Act, Annex IV)",
    folder=Path(__file__).parent,
    order=60,
    facts=_facts,
    statements={
        "system_context": "how the system interacts with hardware, software and other systems (point 1)",
        "design_choices": "the main design choices and assumptions, and what they trade (point 2)",
        "human_oversight": "who watches the forecasts, and how one can overrule or stop them "
        "(points 2 and 3, Article 14)",
        "cybersecurity": "measures against tampering and misuse (point 2, Article 15)",
        "foreseeable_risks": "foreseeable unintended outcomes and sources of risk (point 3, Article 9)",
        "risk_controls": "what is done about these risks, and which risk remains (point 5)",
        "lifecycle_changes": "which changes are planned or allowed without a new assessment (point 6)",
        "standards": "standards and specifications applied, in full or in part (point 7)",
        "conformity": "the state of the declaration of conformity (point 8)",
        "post_market_monitoring": "how performance is watched in use, and who acts on it (point 9)",
    },
)
