"""Risk assessment: risk classes computed by rule, and the four functions of NIST AI RMF 1.0."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from governance.documents.artifacts import Artifacts
from governance.documents.kind import Document
from governance.documents.kinds.risk_assessment.risk import QUESTIONS, SCALE, assess, unanswered, unstated_risk
from governance.documents.layout import USECASE


def _facts(artifacts: Artifacts) -> dict[str, Any]:
    """Return the risk classes, "not stated" where an answer that they need is missing.

    Raises:
        DocumentError: an answer is not allowed.
    """
    answers = artifacts.value(USECASE, "/governance/risk")
    questions = {key: text for key, (text, _) in QUESTIONS.items()}
    common = {"scale": SCALE, "questions": questions, "unanswered": unanswered(answers)}
    metrics, gate = artifacts.document("metrics.json"), artifacts.document("gate.json")
    # Without an answer there is no class, whatever the others are.
    risk = unstated_risk(metrics, gate) if common["unanswered"] else asdict(assess(answers, metrics, gate))
    return {"risk": {**risk, **common}}


KIND = Document(
    name="risk_assessment",
    title="Risk assessment",
    folder=Path(__file__).parent,
    order=30,
    statements={
        "accountability": "who answers for the model, and who decides about its release (Govern)",
        "incident_response": "what is done, by whom, when forecasts fail or cause harm (Manage)",
    },
    facts=_facts,
)
