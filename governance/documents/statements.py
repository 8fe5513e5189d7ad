"""Statements that people must make, because no artifact can.

A use case makes each as `governance.statements.<key>: {text, author, date}`; which ones follows from the documents.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from almanac.core.errors import DocumentError
from governance.documents.kind import KINDS, documents


def mandatory_statements() -> dict[str, str]:
    """Return every mandatory statement: key -> what it has to say."""
    return {key: text for document in documents() for key, text in document.statements.items()}


def check_statements(governance: Mapping[str, Any], section: str = "governance", recorded: Iterable[str] = ()) -> None:
    """Refuse a governance section that lacks a mandatory statement, or that leaves one unsigned or undated.

    Args:
        governance: the use case's section, with `statements`.
        section: name of the section in errors.
        recorded: further mandatory statements, which documents asked for that are not installed here.

    Raises:
        DocumentError: every missing or incomplete statement, by key, with what it has to say.
    """
    statements = governance.get("statements") or {}
    mandatory = dict.fromkeys(recorded, "what its document asks for") | mandatory_statements()
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
