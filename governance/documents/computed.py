"""Values that documents derive from artifacts, as computed.json keeps them; a verification computes them again."""

from collections.abc import Collection
from typing import Any

from almanac.core.errors import DocumentError
from governance.documents.artifacts import Artifacts
from governance.documents.kind import Document
from governance.documents.layout import USECASE
from governance.documents.statements import unstated

#: Facts that belong to no document.
_OWN = ("counts", "unstated", "draft", "use_case_digest")


def compute(artifacts: Artifacts, kinds: Collection[Document]) -> dict[str, Any]:
    """Return the content of computed.json: the facts of the documents, then counts.

    Raises:
        DocumentError: a document's facts cannot be computed, or two documents have facts of one name.
    """
    computed: dict[str, Any] = {}
    for document in kinds:
        facts = document.facts(artifacts)
        if twice := ({*_OWN, *computed} & facts.keys()):
            raise DocumentError(f"{document.file}: another document computes {min(twice)!r} too; rename one of them")
        computed |= facts
    missing = unstated(artifacts.value(USECASE, "/governance"), kinds)
    return computed | {
        "counts": _counts(artifacts),
        "unstated": missing,
        "draft": len(missing) + _unanswered(computed),
        "use_case_digest": artifacts[USECASE].sha256,
    }


def _unanswered(computed: dict[str, Any]) -> int:
    # The document that asks the questions on risk is Almanac's own, and may yet be left out by a caller.
    return len(computed.get("risk", {}).get("unanswered", {}))


def _counts(artifacts: Artifacts) -> dict[str, int]:
    rules = artifacts.value("gate.json", "/rules")
    # Rules that had nothing to compare with pass, and have no margin.
    idle = sum(1 for rule in rules if rule["passed"] and rule["margin"] is None)
    return {
        "targets": sum(1 for _ in artifacts.targets()),
        "sources": len(artifacts.value("lineage.json", "/sources")),
        "model_files": len(artifacts.value("model/manifest.json", "/files")),
        "statements": len(artifacts.value(USECASE, "/governance/statements")),
        "gate_rules": len(rules) - idle,
        "gate_rules_not_applicable": idle,
    }
