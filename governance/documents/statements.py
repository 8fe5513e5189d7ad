"""Statements that people must make, because no artifact can.

A use case makes each as `governance.statements.<key>: {text, author, date}`; which ones follows from the documents.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from almanac.core.errors import DocumentError
from governance.documents.kind import KINDS, Document, documents, own_documents


def mandatory_statements(kinds: Iterable[Document]) -> dict[str, str]:
    """Return the statements that documents need: key -> required content."""
    return {key: text for document in kinds for key, text in document.statements.items()}


def check_statements(
    governance: Mapping[str, Any], section: str = "governance", recorded: Iterable[str] | None = None
) -> None:
    """Refuse a governance section that lacks a mandatory statement, or that leaves one unsigned or undated.

    Args:
        governance: the use case's section, with `statements`.
        section: name of the section in errors.
        recorded: the mandatory statements of a bundle, which may be written by other documents than those that are
            installed here; None for those of all installed documents.

    Raises:
        DocumentError: every missing or incomplete statement, by key, with what it has to say.
    """
    statements = governance.get("statements") or {}
    # Almanac's own are asked for in any case: a manifest that was altered could record none.
    if recorded is None:
        mandatory = mandatory_statements(documents())
    else:
        mandatory = dict.fromkeys(recorded, "what its document needs") | mandatory_statements(own_documents())
    faults = [
        f"{section}.statements.{key}: is missing; it has to say {text}"
        for key, text in mandatory.items()
        if key not in statements
    ]
    for key, statement in statements.items():
        if key not in mandatory:
            faults.append(
                f"{section}.statements.{key}: unknown; expected one of {', '.join(mandatory)}; if the document of an "
                f"extension asks for it, install that package here ({KINDS.group})"
            )
            continue
        empty = [name for name in ("text", "author", "date") if not str(statement.get(name) or "").strip()]
        faults.extend(f"{section}.statements.{key}.{name}: is empty" for name in empty)
    faults.extend(f"{section}.{name}: is empty" for name in ("owner", "contact") if not governance.get(name))
    if faults:
        raise DocumentError("\n".join(faults))
