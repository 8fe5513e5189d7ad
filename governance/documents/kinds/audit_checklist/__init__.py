"""Audit checklist: questions that are answered by artifacts."""

from pathlib import Path
from typing import Any

from governance.documents.artifacts import Artifacts
from governance.documents.kind import Document
from governance.documents.kinds.audit_checklist.checks import CHECKS, answer


def _facts(artifacts: Artifacts) -> dict[str, Any]:
    checks = [answer(check, artifacts) for check in CHECKS]
    return {"checklist": {"checks": checks, "met": sum(check["met"] for check in checks), "of": len(checks)}}


KIND = Document(name="audit_checklist", title="Audit checklist", folder=Path(__file__).parent, order=40, facts=_facts)
