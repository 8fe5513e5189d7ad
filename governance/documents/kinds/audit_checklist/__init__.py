"""Audit checklist: questions that are answered by artifacts."""

from pathlib import Path
from typing import Any

from governance.documents.artifacts import Artifacts
from governance.documents.kind import Document
from governance.documents.kinds.audit_checklist.checks import CHECKS, NOT_ANSWERED, NOT_MET, answer


def _facts(artifacts: Artifacts) -> dict[str, Any]:
    checks = [answer(check, artifacts) for check in CHECKS]
    # Counted here, as a template can print no number that is not an artifact's.
    counts = {
        "met": sum(check["met"] for check in checks),
        "unmet": sum(check["answer"].startswith(NOT_MET) for check in checks),
        "unanswered": sum(check["answer"].startswith(NOT_ANSWERED) for check in checks),
        "of": len(checks),
    }
    return {"checklist": {"checks": checks, **counts}}


KIND = Document(name="audit_checklist", title="Audit checklist", folder=Path(__file__).parent, order=40, facts=_facts)
