"""Risk classes, computed from the use case's answers and the run's metrics; a screening by rule, not legal advice.

The *legal* class follows the order of the EU AI Act (Regulation 2024/1689): a prohibited practice (Article 5), high
risk (Article 6 with Annexes I and III), transparency duties (Article 50), minimal risk.

The *operational* class is severity times likelihood. Severity, 1 to 5, is the stated severity of a wrong forecast and
one more each if its consequences are irreversible, or if vulnerable groups, a whole population or special categories of
data are affected. Likelihood, 1 to 4, follows from the use of a forecast, and is one higher if the run's own metrics
give reason for concern.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from almanac.core.errors import DocumentError
from almanac.usecase.address import UNSTATED

YES_NO = (True, False)
AREAS = (
    "none",
    "biometrics",
    "critical_infrastructure",
    "education",
    "employment",
    "essential_services",
    "law_enforcement",
    "migration",
    "justice",
)

#: Key -> (question, allowed answers).
QUESTIONS: dict[str, tuple[str, tuple[bool | str, ...]]] = {
    "prohibited_practice": ("Is it a practice that Article 5 prohibits?", YES_NO),
    "safety_component": ("Is it a safety component of a product that Annex I covers, or such a product?", YES_NO),
    "annex_iii_area": ("In which area of Annex III is it used?", AREAS),
    "narrow_procedural_task": ("If in such an area: is it a narrow or preparatory task (Article 6(3))?", YES_NO),
    "profiles_persons": ("Does it profile natural persons?", YES_NO),
    "interacts_with_persons": ("Does it interact with persons directly, or generate content (Article 50)?", YES_NO),
    "personal_data": ("Does it process personal data?", ("none", "pseudonymous", "personal", "special_category")),
    "autonomy": ("What does a forecast do?", ("informs", "recommends", "decides")),
    "severity": ("How bad is a wrong forecast?", ("negligible", "limited", "serious", "critical")),
    "reversibility": ("Can what it leads to be undone?", ("easily", "with_effort", "not")),
    "vulnerable_groups": ("Are vulnerable groups affected more than others?", YES_NO),
    "scale": ("How many persons are affected?", ("few", "many", "population")),
}

_AUTONOMY = {"informs": 1, "recommends": 2, "decides": 3}
_SEVERITY = {"negligible": 1, "limited": 2, "serious": 3, "critical": 4}
#: Answers that raise the severity, and the reason that documents print.
_SURCHARGES: dict[tuple[str, bool | str], str] = {
    ("reversibility", "not"): "what it leads to cannot be undone",
    ("vulnerable_groups", True): "vulnerable groups are affected more than others",
    ("scale", "population"): "a whole population is affected",
    ("personal_data", "special_category"): "special categories of personal data are processed",
}
_MOST_SEVERE, _MOST_LIKELY = 5, 4
#: Highest score of each operational class.
_CLASSES = ((3, "low"), (7, "moderate"), (11, "elevated"), (_MOST_SEVERE * _MOST_LIKELY, "high"))

#: Computation of the operational class, as documents print it.
SCALE: dict[str, Any] = {
    "severity": _SEVERITY,
    "autonomy": _AUTONOMY,
    "surcharges": list(_SURCHARGES.values()),
    "surcharge": 1,
    "most_severe": _MOST_SEVERE,
    "most_likely": _MOST_LIKELY,
    "classes": {name: limit for limit, name in _CLASSES},
}


@dataclass(frozen=True)
class Risk:
    """Computed risk classes and their reasons.

    Attributes:
        legal: prohibited, high, limited or minimal.
        legal_reason: the rule that applied.
        severity: 1 to 5.
        likelihood: 1 to 4.
        score: severity times likelihood.
        operational: low, moderate, elevated or high.
        findings: metrics that raised the likelihood, in words.
        surcharges: circumstances that raised the severity, in words.
    """

    legal: str
    legal_reason: str
    severity: int
    likelihood: int
    score: int
    operational: str
    findings: list[str]
    surcharges: list[str]


def unanswered(answers: Mapping[str, Any]) -> dict[str, str]:
    """Return the questions that have no answer yet: key -> question."""
    return {key: text for key, (text, _) in QUESTIONS.items() if answers.get(key, UNSTATED) == UNSTATED}


def check_given_answers(answers: Mapping[str, Any], section: str = "governance.risk") -> None:
    """Refuse answers that are given and unknown or not allowed.

    Raises:
        DocumentError: every fault by key, with the allowed answers.
    """
    if faults := _wrong(answers, section):
        raise DocumentError("\n".join(faults))


def check_answers(answers: Mapping[str, Any], section: str = "governance.risk") -> None:
    """Refuse answers that are missing, unknown or not allowed.

    Raises:
        DocumentError: every fault by key, with the allowed answers.
    """
    faults = [
        f"{section}.{key}: is missing; {text} Expected one of {_listed(allowed)}"
        for key, (text, allowed) in QUESTIONS.items()
        if key in unanswered(answers)
    ]
    if faults := faults + _wrong(answers, section):
        raise DocumentError("\n".join(faults))


def _wrong(answers: Mapping[str, Any], section: str) -> list[str]:
    faults = []
    for key, answer in answers.items():
        if answer == UNSTATED:
            continue
        if key not in QUESTIONS:
            faults.append(f"{section}.{key}: unknown; expected one of {', '.join(QUESTIONS)}")
        elif not any(
            answer is allowed or (isinstance(answer, str) and answer == allowed) for allowed in QUESTIONS[key][1]
        ):
            faults.append(f"{section}.{key}: {answer!r} is no answer; expected one of {_listed(QUESTIONS[key][1])}")
    return faults


def _listed(allowed: Iterable[Any]) -> str:
    return ", ".join(str(answer).lower() for answer in allowed)


def assess(answers: Mapping[str, Any], metrics: Mapping[str, Any], gate: Mapping[str, Any]) -> Risk:
    """Return the risk of a run by the use case's answers, metrics.json and gate.json.

    Raises:
        DocumentError: an answer is missing or not allowed.
    """
    check_answers(answers)
    legal, reason = _legal(answers)
    surcharges = [reason for (key, answer), reason in _SURCHARGES.items() if answers[key] == answer]
    severity = min(_MOST_SEVERE, _SEVERITY[answers["severity"]] + len(surcharges))
    findings = _findings(metrics, gate)
    likelihood = min(_MOST_LIKELY, _AUTONOMY[answers["autonomy"]] + bool(findings))
    score = severity * likelihood
    operational = next(name for limit, name in _CLASSES if score <= limit)
    return Risk(legal, reason, severity, likelihood, score, operational, findings, surcharges)


def unstated_risk(metrics: Mapping[str, Any], gate: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a risk that has no class yet."""
    unknown: dict[str, Any] = dict.fromkeys(("severity", "likelihood", "score"))
    reason = "not every question is answered"
    findings = _findings(metrics, gate)
    return {
        "legal": UNSTATED, "legal_reason": reason, **unknown, "operational": UNSTATED, "findings": findings,
        "surcharges": [],
    }  # fmt: skip


def _legal(answers: Mapping[str, Any]) -> tuple[str, str]:
    if answers["prohibited_practice"]:
        return "prohibited", "a practice that Article 5 prohibits"
    if answers["safety_component"]:
        return "high", "a safety component, Article 6(1)"
    if answers["annex_iii_area"] != "none":
        if answers["narrow_procedural_task"] and not answers["profiles_persons"]:
            return "limited", "an area of Annex III, but a narrow or preparatory task, Article 6(3)"
        return "high", f"used in an area of Annex III ({answers['annex_iii_area']}), Article 6(2)"
    if answers["interacts_with_persons"]:
        return "limited", "transparency duties, Article 50"
    return "minimal", "neither prohibited, nor a safety component, nor in an area of Annex III"


def _findings(metrics: Mapping[str, Any], gate: Mapping[str, Any]) -> list[str]:
    """Return the metrics that make harm more likely, in words."""
    findings = [] if gate.get("passed") is True else ["the gate is closed"]
    for name, target in metrics["targets"].items():
        for baseline, skill in target.get("skill", {}).items():
            for metric, value in skill.items():
                if metric in ("rmse", "mae") and isinstance(value, int | float) and value <= 0:
                    findings.append(f"{name}: no better than {baseline} by {metric}")
        coverage = target.get("coverage") or {}
        nominal = coverage.get("nominal", 0.0)
        for band, covered in coverage.get("bands", {}).items():
            # In a band of few rows chance alone can miss so much.
            ci = coverage.get("band_details", {}).get(band, {}).get("ci")
            if covered is not None and covered < nominal - 0.05 and (ci is None or ci[1] < nominal):
                findings.append(f"{name}: intervals cover too little in the band `{band}`")
    return findings
