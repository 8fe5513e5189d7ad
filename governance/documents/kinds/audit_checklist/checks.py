"""Questions of the audit checklist, and the values of artifacts that answer them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from almanac.core.errors import DocumentError
from governance.documents.artifacts import Artifacts
from governance.documents.kind import own_documents
from governance.documents.layout import REGISTRATION, USECASE
from governance.documents.statements import mandatory_statements

_MODEL = "model/manifest.json"
#: Tolerance for a coverage where the gate has no rule for it.
_TOLERANCE = 0.03
_PICKLES = (".pkl", ".pickle", ".joblib", ".pt")


@dataclass(frozen=True)
class Check:
    """A question of the audit checklist, and how artifacts answer it.

    Attributes:
        key: name of the question.
        area: part of the checklist.
        question: as the auditor asks it.
        basis: the requirement behind it.
        source: uri#pointer of the value that answers it.
        holds: computes the answer.
        unmet: returns a more precise answer than "not met".
    """

    key: str
    area: str
    question: str
    basis: str
    source: str
    holds: Callable[[Artifacts], bool]
    unmet: Callable[[Artifacts], str] | None = None


def answer(check: Check, artifacts: Artifacts) -> dict[str, Any]:
    """Return a question with its answer for computed.json; a question without an answer is not met."""
    try:
        met = bool(check.holds(artifacts))
    except (DocumentError, KeyError, TypeError, IndexError):
        met = False
    question = {key: getattr(check, key) for key in ("key", "area", "question", "basis", "source")}
    return {**question, "met": met, "answer": "" if met or check.unmet is None else check.unmet(artifacts)}


def _all_targets(test: Callable[[dict[str, Any]], bool]) -> Callable[[Artifacts], bool]:
    return lambda artifacts: all(test(target) for _, target in artifacts.targets())


def _every_source(key: str) -> Callable[[Artifacts], bool]:
    return lambda artifacts: all(source.get(key) for source in artifacts.value("lineage.json", "/sources"))


def _beats_baselines(target: dict[str, Any]) -> bool:
    return bool(target["skill"]) and all(skill["ci"] and skill["ci"][0] > 0 for skill in target["skill"].values())


def _covers(bands: bool) -> Callable[[Artifacts], bool]:
    """Return a test of the intervals' coverage, overall or by band; classifications have no intervals."""

    def test(artifacts: Artifacts) -> bool:
        rules = [rule for rule in artifacts.value(USECASE, "/gates") if rule["rule"] == "coverage"]
        within = min((rule["within"] for rule in rules), default=_TOLERANCE)
        return all(
            covered is None or abs(covered - coverage["nominal"]) <= within
            for _, target in artifacts.targets()
            if (coverage := target.get("coverage"))
            for covered in (coverage["bands"].values() if bands else [coverage["overall"]])
        )

    return test


def _statements_complete(artifacts: Artifacts) -> bool:
    statements = artifacts.value(USECASE, "/governance/statements")
    complete = {key for key, each in statements.items() if each.get("text") and each.get("author")}
    return complete == set(statements) | set(mandatory_statements(own_documents()))


def _model_files_match(artifacts: Artifacts) -> bool:
    files = artifacts.value(_MODEL, "/files")
    return all(artifacts[f"model/{name}"].sha256 == entry["sha256"] for name, entry in files.items())


def _same_use_case(artifacts: Artifacts) -> bool:
    return bool(artifacts.value(_MODEL, "/use_case_digest") == artifacts[USECASE].sha256)


def _rules_of_the_use_case(artifacts: Artifacts) -> bool:
    declared = {rule["rule"] for rule in artifacts.value(USECASE, "/gates")}
    evaluated = {rule["rule"] for rule in artifacts.value("gate.json", "/rules")}
    return _same_use_case(artifacts) and bool(evaluated) and evaluated <= declared


def _approval_missing(artifacts: Artifacts) -> str:
    """Return why the version has no approval: people approve these documents, so they can do so only afterwards."""
    if artifacts.value(REGISTRATION, "/approval") == "none":
        return "no: its policy, none, lets it be promoted without an approval"
    return "open: its policy asks for one, given to these documents once they stand; the registry's log tells"


CHECKS = (
    Check("gate", "Release", "Has the gate passed?", "NIST Manage 1.1", "gate.json#/passed",
          lambda artifacts: artifacts.value("gate.json", "/passed") is True),
    Check("gate_rules", "Release", "Are the gate's rules those of the use case whose digest the trained model carries, "
          "and so older than its evaluation?", "NIST Manage 1.1", f"{USECASE}#/gates", _rules_of_the_use_case),
    Check("registered", "Release", "Is the version registered, with who, when and why?", "NIST Govern 1.4",
          f"{REGISTRATION}#/version", lambda artifacts: artifacts.value(REGISTRATION, "/version") > 0),
    Check("approval", "Release", "Does the cluster policy ask for an approval by somebody else?", "Article 14",
          f"{USECASE}#/governance/approval/cluster",
          lambda artifacts: artifacts.value(USECASE, "/governance/approval/cluster") == "required"),
    Check("approved", "Release", "Was this version approved by somebody other than its proposer?", "Article 14",
          f"{REGISTRATION}#/approval", lambda artifacts: False, _approval_missing),
    Check("baselines", "Performance", "Does every target beat every baseline with its whole interval?",
          "Annex IV point 4", "metrics.json#/targets", _all_targets(_beats_baselines)),
    Check("uncertainty", "Performance", "Has every headline error an interval?", "NIST Measure 2.5",
          "metrics.json#/targets", _all_targets(lambda target: bool(target["ci"]) and all(target["ci"].values()))),
    Check("coverage", "Performance", "Do prediction intervals cover within the tolerance overall?", "Article 15",
          "metrics.json#/targets", _covers(bands=False)),
    Check("coverage_bands", "Performance", "Do they cover within the tolerance in every band?", "Article 15",
          "metrics.json#/targets", _covers(bands=True)),
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
          lambda artifacts: not str(artifacts.value(_MODEL, "/git_revision")).endswith(("-dirty", "unknown"))),
    Check("files", "Traceability", "Does every file of the model match its digest?", "Article 15", f"{_MODEL}#/files",
          _model_files_match),
    Check("no_pickle", "Security", "Is the model free of files that run code when loaded?", "Article 15",
          f"{_MODEL}#/files",
          lambda artifacts: not any(name.endswith(_PICKLES) for name in artifacts.value(_MODEL, "/files"))),
    Check("signed", "Security", "Is the model directory signed?", "Article 15", f"{REGISTRATION}#/signature",
          lambda artifacts: "governance/model.sig" in artifacts.files),
    Check("statements", "Accountability", "Is every mandatory statement given, with author and date?",
          "NIST Govern 2.1", f"{USECASE}#/governance/statements", _statements_complete),
    Check("owner", "Accountability", "Are owner and contact named?", "Annex IV point 1(a)",
          f"{USECASE}#/governance/owner",
          lambda artifacts: bool(artifacts.value(USECASE, "/governance/owner"))),
    Check("reference", "Monitoring", "Is a reference for drift frozen with every model?", "Annex IV point 9",
          f"{_MODEL}#/files", lambda artifacts: all(f"{name}/reference.json" in artifacts.value(_MODEL, "/files")
                                                   for name in artifacts.value(_MODEL, "/targets"))),
)  # fmt: skip
