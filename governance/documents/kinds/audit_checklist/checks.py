"""Questions of the audit checklist, which `answers` answers."""

from dataclasses import dataclass
from typing import Any

from almanac.core.errors import DocumentError
from governance.documents.artifacts import Artifacts
from governance.documents.kinds.audit_checklist import answers
from governance.documents.kinds.audit_checklist.answers import MODEL as _MODEL
from governance.documents.kinds.audit_checklist.answers import Answer, all_targets, every_source
from governance.documents.layout import REGISTRATION, USECASE

MET, NOT_MET, NOT_ANSWERED = "met", "not met", "not answered"


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
        unanswered: why there may be no answer.
        unmet: why the question may not be met.
    """

    key: str
    area: str
    question: str
    basis: str
    source: str
    holds: Answer
    unanswered: str = ""
    unmet: str = ""


def answer(check: Check, artifacts: Artifacts) -> dict[str, Any]:
    """Return a question with its answer for computed.json: met, not met, or not answered, with the reason."""
    try:
        holds = check.holds(artifacts)
    # An artifact without the value that would answer says nothing, neither yes nor no.
    except (DocumentError, KeyError, TypeError, IndexError, AttributeError):
        holds = None
    question = {key: getattr(check, key) for key in ("key", "area", "question", "basis", "source")}
    status = {True: MET, False: NOT_MET, None: NOT_ANSWERED}[holds]
    reason = {True: "", False: check.unmet, None: check.unanswered}[holds]
    return {**question, "met": holds is True, "answer": f"{status}: {reason}" if reason else status}


CHECKS = (
    Check("gate", "Release", "Has the gate passed?", "NIST Manage 1.1", "gate.json#/passed",
          lambda artifacts: artifacts.value("gate.json", "/passed") is True),
    Check("gate_rules", "Release", "Are the gate's rules those of the use case whose digest the trained model carries, "
          "and so older than its evaluation?", "NIST Manage 1.1", f"{USECASE}#/gates", answers.rules_of_the_use_case),
    Check("registered", "Release", "Is the version registered, with who and when?", "NIST Govern 1.4",
          f"{REGISTRATION}#/version", answers.registered),
    Check("approval", "Release", "Does the cluster policy ask for an approval by somebody else?", "Article 14",
          f"{USECASE}#/governance/approval/cluster",
          lambda artifacts: artifacts.value(USECASE, "/governance/approval/cluster") == "required"),
    Check("approved", "Release", "Was this version approved by somebody other than its proposer?", "Article 14",
          f"{REGISTRATION}#/approval", answers.approved,
          "its policy asks for an approval, given to these documents once they stand; the registry's log tells",
          "its policy, none, lets it be promoted without an approval"),
    Check("way_back", "Release", "Is there an earlier production version to roll back to?", "NIST Manage 2.4",
          f"{REGISTRATION}#/previous", answers.way_back, "the registration does not tell",
          "none was in production when this version was registered"),
    Check("baselines", "Performance", "Does every target beat every baseline with its whole interval?",
          "Annex IV point 4", "metrics.json#/targets", all_targets(answers.beats_baselines),
          "a skill has no interval, as the rows are too few"),
    Check("uncertainty", "Performance", "Has every headline error an interval?", "NIST Measure 2.5",
          "metrics.json#/targets", all_targets(answers.has_intervals)),
    Check("coverage", "Performance", "Do prediction intervals cover within the use case's tolerance overall?",
          "Article 15", "metrics.json#/targets", answers.covers(bands=False),
          "the use case sets no tolerance, or no target has intervals"),
    Check("coverage_bands", "Performance", "Do they cover within it in every band?", "Article 15",
          "metrics.json#/targets", answers.covers(bands=True),
          "the use case sets no tolerance, or no target has intervals"),
    Check("slices", "Fairness", "Are figures given for exactly the declared groups, and do these add up to all rows?",
          "NIST Measure 2.11", "metrics.json#/targets", answers.groups_declared("slices")),
    Check("disparity", "Fairness", "Are disparities computed for exactly the declared groups?", "NIST Measure 2.11",
          "metrics.json#/targets", answers.groups_declared("disparity")),
    Check("sources", "Data", "Has every source a digest?", "Article 10", "lineage.json#/sources",
          every_source(lambda source: len(source["sha256"]) == len("0" * 64))),
    Check("licences", "Data", "Has every source a licence?", "Annex IV point 2(d)", "lineage.json#/sources",
          every_source(answers.licensed), "a licence is not stated"),
    Check("spans", "Data", "Is the time span of every source recorded?", "Annex IV point 2(d)",
          "lineage.json#/sources",
          every_source(lambda source: bool(source["time_span"][0] <= source["time_span"][1]))),
    Check("use_case", "Traceability", "Is the model made from the use case that is documented here?", "Article 12",
          f"{_MODEL}#/use_case_digest", answers.same_use_case),
    Check("revision", "Traceability", "Is the revision of the code recorded, and without local changes?",
          "NIST Govern 1.4", f"{_MODEL}#/git_revision", answers.clean_revision, "the revision is not known"),
    Check("files", "Traceability", "Has the model exactly the files of its manifest, each with its digest?",
          "Article 15", f"{_MODEL}#/files", answers.model_files_match),
    Check("no_pickle", "Security", "Is the model free of files that run code when loaded?", "Article 15",
          f"{_MODEL}#/files", answers.runs_no_code),
    Check("signed", "Security", "Does the model's signature verify under a key that the registry's policy pins?",
          "Article 15", f"{REGISTRATION}#/signature", answers.signed, "no key is pinned, or the signature is keyless"),
    Check("statements", "Accountability", "Is every mandatory statement given, with author and date?",
          "NIST Govern 2.1", f"{USECASE}#/governance/statements", answers.statements_complete),
    Check("owner", "Accountability", "Are an owner and an address to reach them named?", "Annex IV point 1(a)",
          f"{USECASE}#/governance/contact", answers.owner_and_contact, "the address is a placeholder"),
    Check("reference", "Monitoring", "Is a reference for drift frozen with every model?", "Annex IV point 9",
          f"{_MODEL}#/files", answers.has_reference),
)  # fmt: skip
