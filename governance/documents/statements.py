"""What a person must state, because no artifact can say it.

The keys follow Mitchell et al. 2019 (Model Cards), Gebru et al. 2021 (Datasheets for Datasets), Annex IV of the EU AI
Act (Regulation 2024/1689) and the four functions of NIST AI RMF 1.0. A use case gives each as
`governance.statements.<key>: {text, author, date}`; a missing one stops the documents by name.
"""

from collections.abc import Mapping
from typing import Any

from almanac.core.errors import DocumentError

#: Every mandatory statement: key -> what it has to say.
MANDATORY: dict[str, str] = {
    # Mitchell et al.: model card
    "intended_use": "what the forecasts are for, and for which decisions",
    "intended_users": "who is meant to use them, and what they must know to do so",
    "out_of_scope_uses": "uses that are not covered, although they suggest themselves",
    "relevant_factors": "groups, instruments and conditions that the quality of a forecast depends on",
    "metrics_rationale": "why these metrics, intervals and baselines are right for this use (Annex IV point 4)",
    "ethical_considerations": "who may be harmed or favoured, and how that was weighed",
    "caveats": "what else a user has to know before relying on a forecast",
    # Gebru et al.: data card
    "data_motivation": "why and by whom the data were made",
    "data_composition": "what a row stands for, what is missing in it, and whether it is about persons",
    "data_collection": "how the values were measured or collected",
    "data_preprocessing": "what was done to the data before they reached this project, and what is done here",
    "data_uses": "other uses of the data, and uses that they are not fit for",
    "data_distribution": "licence, terms and where the data can be had",
    "data_maintenance": "who maintains the data, and what happens when they end or change",
    # EU AI Act, Annex IV
    "system_context": "how the system interacts with hardware, software and other systems (point 1)",
    "design_choices": "the main design choices and assumptions, and what they trade (point 2)",
    "human_oversight": "who watches the forecasts, and how one can overrule or stop them (points 2 and 3, Article 14)",
    "cybersecurity": "measures against tampering and misuse (point 2, Article 15)",
    "foreseeable_risks": "foreseeable unintended outcomes and sources of risk (point 3, Article 9)",
    "risk_controls": "what is done about these risks, and which risk remains (point 5)",
    "lifecycle_changes": "which changes are planned or allowed without a new assessment (point 6)",
    "standards": "standards and specifications applied, in full or in part (point 7)",
    "conformity": "the state of the declaration of conformity (point 8)",
    "post_market_monitoring": "how performance is watched in use, and who acts on it (point 9)",
    # NIST AI RMF
    "accountability": "who answers for the model, and who decides about its release (Govern)",
    "incident_response": "what is done, by whom, when forecasts fail or cause harm (Manage)",
    # Retraining
    "retraining_policy": "when the model is retrained, what may be changed by it, and who decides on the result",
    "decommissioning": "when and how the model is taken out of use",
}


def check_statements(governance: Mapping[str, Any], place: str = "governance") -> None:
    """Refuse a governance section that lacks a mandatory statement, or that leaves one unsigned or undated.

    Args:
        governance: the use case's section, with `statements`.
        place: how the section is called in errors.

    Raises:
        DocumentError: every missing or incomplete statement, by key, with what it has to say.
    """
    statements = governance.get("statements") or {}
    faults = [
        f"{place}.statements.{key}: is missing; it has to say {MANDATORY[key]}"
        for key in MANDATORY
        if key not in statements
    ]
    for key, statement in statements.items():
        if key not in MANDATORY:
            faults.append(f"{place}.statements.{key}: unknown; right would be one of {', '.join(MANDATORY)}")
            continue
        empty = [name for name in ("text", "author", "date") if not str(statement.get(name) or "").strip()]
        faults.extend(f"{place}.statements.{key}.{name}: is empty" for name in empty)
    faults.extend(f"{place}.{name}: is empty" for name in ("owner", "contact") if not governance.get(name))
    if faults:
        raise DocumentError("\n".join(faults))
