"""What the documents derive from the artifacts: risk class, audit checklist, counts. Verify computes it again."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from almanac.core.errors import DocumentError
from governance.documents.evidence import Evidence
from governance.documents.risk import QUESTIONS, SCALE, assess
from governance.documents.statements import MANDATORY

USECASE = "governance/usecase.json"
REGISTRATION = "governance/registration.json"
_MODEL = "model/manifest.json"
#: How far a coverage may be off where the gate has no rule for it.
_WITHIN = 0.03
_PICKLES = (".pkl", ".pickle", ".joblib", ".pt")


@dataclass(frozen=True)
class Check:
    """A question of the audit checklist, and how evidence answers it.

    Attributes:
        key: its name.
        area: the part of the checklist.
        question: as the auditor asks it.
        basis: the requirement behind it.
        source: uri#pointer of the evidence.
        holds: the answer, computed.
        unmet: what to say instead of "not met"; nothing where that says all.
    """

    key: str
    area: str
    question: str
    basis: str
    source: str
    holds: Callable[[Evidence], bool]
    unmet: Callable[[Evidence], str] | None = None


def compute(evidence: Evidence) -> dict[str, Any]:
    """Return the content of computed.json.

    Raises:
        DocumentError: an answer that the risk class needs is missing, or an artifact is.
    """
    governance = evidence.value(USECASE, "/governance")
    risk = assess(governance["risk"], evidence.document("metrics.json"), evidence.document("gate.json"))
    checks = [_answered(check, evidence) for check in CHECKS]
    return {
        "risk": {**asdict(risk), "scale": SCALE, "questions": {key: text for key, (text, _) in QUESTIONS.items()}},
        "checklist": {"checks": checks, "met": sum(check["met"] for check in checks), "of": len(checks)},
        "counts": {
            "targets": sum(1 for _ in evidence.targets()),
            "sources": len(evidence.value("lineage.json", "/sources")),
            "model_files": len(evidence.value(_MODEL, "/files")),
            "statements": len(MANDATORY),
            **_gate_counts(evidence.value("gate.json", "/rules")),
        },
    }


def _gate_counts(rules: list[dict[str, Any]]) -> dict[str, int]:
    """Count the gate's checks apart from those that had nothing to compare with: they pass, and have no margin."""
    idle = sum(1 for rule in rules if rule["passed"] and rule["margin"] is None)
    return {"gate_rules": len(rules) - idle, "gate_rules_not_applicable": idle}


def _answered(check: Check, evidence: Evidence) -> dict[str, Any]:
    try:
        met = bool(check.holds(evidence))
    except (DocumentError, KeyError, TypeError, IndexError):
        met = False
    stated = {key: getattr(check, key) for key in ("key", "area", "question", "basis", "source")}
    return {**stated, "met": met, "answer": "" if met or check.unmet is None else check.unmet(evidence)}


def _all_targets(test: Callable[[dict[str, Any]], bool]) -> Callable[[Evidence], bool]:
    return lambda evidence: all(test(target) for _, target in evidence.targets())


def _beats_baselines(target: dict[str, Any]) -> bool:
    return bool(target["skill"]) and all(skill["ci"] and skill["ci"][0] > 0 for skill in target["skill"].values())


def _covers(evidence: Evidence) -> bool:
    """Intervals cover within the gate's tolerance of what they promise; a classification has none."""
    return all(_near(evidence, target["coverage"], "overall") for target in _with_intervals(evidence))


def _covers_bands(evidence: Evidence) -> bool:
    return all(
        _near(evidence, {**target["coverage"], **target["coverage"]["bands"]}, band)
        for target in _with_intervals(evidence)
        for band in target["coverage"]["bands"]
    )


def _with_intervals(evidence: Evidence) -> list[dict[str, Any]]:
    return [target for _, target in evidence.targets() if target.get("coverage")]


def _near(evidence: Evidence, coverage: dict[str, Any], name: str) -> bool:
    rules = [rule for rule in evidence.value(USECASE, "/gates") if rule["rule"] == "coverage"]
    within = min((rule["within"] for rule in rules), default=_WITHIN)
    return coverage[name] is None or abs(coverage[name] - coverage["nominal"]) <= within


def _statements_complete(evidence: Evidence) -> bool:
    statements = evidence.value(USECASE, "/governance/statements")
    return all(statements.get(key, {}).get("text") and statements[key].get("author") for key in MANDATORY)


def _model_files_match(evidence: Evidence) -> bool:
    files = evidence.value(_MODEL, "/files")
    return all(evidence.artifact(f"model/{name}").sha256 == entry["sha256"] for name, entry in files.items())


def _every_source(key: str) -> Callable[[Evidence], bool]:
    return lambda evidence: all(source.get(key) for source in evidence.value("lineage.json", "/sources"))


def _same_use_case(evidence: Evidence) -> bool:
    return bool(evidence.value(_MODEL, "/use_case_digest") == evidence.artifact(USECASE).sha256)


def _rules_of_the_use_case(evidence: Evidence) -> bool:
    declared = {rule["rule"] for rule in evidence.value(USECASE, "/gates")}
    judged = {rule["rule"] for rule in evidence.value("gate.json", "/rules")}
    return _same_use_case(evidence) and bool(judged) and judged <= declared


def _without_approval(evidence: Evidence) -> str:
    """Say how the version stands: an approval is of these documents, so none can be there when they are written."""
    if evidence.value(REGISTRATION, "/approval") == "none":
        return "no: its policy, none, lets it be promoted without an approval"
    return "open: its policy asks for one, given to these documents once they stand; the registry's log tells"


CHECKS = (
    Check("gate", "Release", "Has the gate passed?", "NIST Manage 1.1", "gate.json#/passed",
          lambda evidence: evidence.value("gate.json", "/passed") is True),
    Check("gate_rules", "Release", "Are the gate's rules those of the use case whose digest the trained model carries, "
          "and so older than its evaluation?", "NIST Manage 1.1", f"{USECASE}#/gates", _rules_of_the_use_case),
    Check("registered", "Release", "Is the version registered, with who, when and why?", "NIST Govern 1.4",
          f"{REGISTRATION}#/version", lambda evidence: evidence.value(REGISTRATION, "/version") > 0),
    Check("approval", "Release", "Does the cluster policy ask for an approval by somebody else?", "Article 14",
          f"{USECASE}#/governance/approval/cluster",
          lambda evidence: evidence.value(USECASE, "/governance/approval/cluster") == "required"),
    Check("approved", "Release", "Was this version approved by somebody other than its proposer?", "Article 14",
          f"{REGISTRATION}#/approval", lambda evidence: False, _without_approval),
    Check("baselines", "Performance", "Does every target beat every baseline with its whole interval?",
          "Annex IV point 4", "metrics.json#/targets", _all_targets(_beats_baselines)),
    Check("uncertainty", "Performance", "Has every headline error an interval?", "NIST Measure 2.5",
          "metrics.json#/targets", _all_targets(lambda target: bool(target["ci"]) and all(target["ci"].values()))),
    Check("coverage", "Performance", "Do prediction intervals cover within the tolerance overall?", "Article 15",
          "metrics.json#/targets", _covers),
    Check("coverage_bands", "Performance", "Do they cover within the tolerance in every band?", "Article 15",
          "metrics.json#/targets", _covers_bands),
    Check("slices", "Fairness", "Are figures given for every declared group?", "NIST Measure 2.11",
          "metrics.json#/targets", _all_targets(lambda target: bool(target.get("slices")))),
    Check("disparity", "Fairness", "Are disparities between groups computed?", "NIST Measure 2.11",
          "metrics.json#/targets", _all_targets(lambda target: bool(target.get("disparity")))),
    Check("sources", "Data", "Has every source a digest?", "Article 10", "lineage.json#/sources",
          _every_source("sha256")),
    Check("licences", "Data", "Has every source a licence?", "Annex IV point 2(d)", "lineage.json#/sources",
          _every_source("licence")),
    Check("spans", "Data", "Is the time span of every source recorded?", "Annex IV point 2(d)",
          "lineage.json#/sources", _every_source("time_span")),
    Check("use_case", "Traceability", "Is the model made from the use case that is documented here?", "Article 12",
          f"{_MODEL}#/use_case_digest", _same_use_case),
    Check("revision", "Traceability", "Is the revision of the code recorded, and without local changes?",
          "NIST Govern 1.4", f"{_MODEL}#/git_revision",
          lambda evidence: not str(evidence.value(_MODEL, "/git_revision")).endswith(("-dirty", "unknown"))),
    Check("files", "Traceability", "Does every file of the model match its digest?", "Article 15", f"{_MODEL}#/files",
          _model_files_match),
    Check("no_pickle", "Security", "Is the model free of files that run code when loaded?", "Article 15",
          f"{_MODEL}#/files",
          lambda evidence: not any(name.endswith(_PICKLES) for name in evidence.value(_MODEL, "/files"))),
    Check("signed", "Security", "Is the model directory signed?", "Article 15", f"{REGISTRATION}#/signature",
          lambda evidence: "governance/model.sig" in evidence.artifacts),
    Check("statements", "Accountability", "Is every mandatory statement given, with author and date?",
          "NIST Govern 2.1", f"{USECASE}#/governance/statements", _statements_complete),
    Check("owner", "Accountability", "Are owner and contact named?", "Annex IV point 1(a)",
          f"{USECASE}#/governance/owner",
          lambda evidence: bool(evidence.value(USECASE, "/governance/owner"))),
    Check("reference", "Monitoring", "Is a reference for drift frozen with every model?", "Annex IV point 9",
          f"{_MODEL}#/files", lambda evidence: all(f"{name}/reference.json" in evidence.value(_MODEL, "/files")
                                                   for name in evidence.value(_MODEL, "/targets"))),
)  # fmt: skip
