"""Statements that people must make, because no artifact can.

A use case makes each as `governance.statements.<key>: {text, author, date}`; which ones follows from the documents. A
run without them is a draft, and its documents say "not stated" in their place.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from almanac.core.errors import DocumentError
from governance.documents.kind import KINDS, Document, documents, own_documents

_PARTS = ("text", "author", "date")
#: Beginnings and whole texts that hold the place of a statement.
_BEGINS = re.compile(
    r"\W*(todo|tbd|tba|tbc|fixme|xxx+|placeholder|fill (me|this) in|to be (written|stated|done))\b", re.I
)
_WHOLE = re.compile(r"\W*(n/?a|none|null|nil|unknown|not stated|text|statement|test|yes|no|ok|asdf\w*)?\W*", re.I)
_LOREM = re.compile(r"lorem ipsum|dolor sit amet", re.I)


def mandatory_statements(kinds: Iterable[Document]) -> dict[str, str]:
    """Return the statements that documents need: key -> required content."""
    return {key: text for document in kinds for key, text in document.statements.items()}


def unstated(governance: Mapping[str, Any], kinds: Iterable[Document] | None = None) -> dict[str, str]:
    """Return the mandatory statements that are missing or hold a placeholder: key -> required content.

    Args:
        governance: the use case's section, with `statements`.
        kinds: the documents; all installed ones when None.
    """
    statements = governance.get("statements") or {}
    texts = Counter(_plain(each.get("text")) for each in statements.values())
    mandatory = mandatory_statements(documents() if kinds is None else kinds)
    return {
        key: needed
        for key, needed in mandatory.items()
        if key not in statements or _holds_no_statement(statements[key], texts)
    }


def unnamed(governance: Mapping[str, Any]) -> list[str]:
    """Return which of owner and contact are missing or placeholders."""
    return [name for name in ("owner", "contact") if _is_placeholder(str(governance.get(name) or ""))]


def _holds_no_statement(statement: Mapping[str, Any], texts: Mapping[str, int]) -> bool:
    text = str(statement.get("text") or "")
    # Two statements may fall together by chance; the same text under three keys was pasted.
    return _is_placeholder(text) or texts[_plain(text)] > 2 or _is_placeholder(str(statement.get("author") or ""))


def _plain(text: Any) -> str:
    return " ".join(str(text or "").casefold().split())


def _is_placeholder(text: str) -> bool:
    return any((_LOREM.search(text), _BEGINS.match(text), _WHOLE.fullmatch(text)))


def check_statements(
    governance: Mapping[str, Any],
    section: str = "governance",
    recorded: Iterable[str] | None = None,
    kinds: Iterable[Document] | None = None,
) -> None:
    """Refuse a governance section that lacks a mandatory statement, or that leaves one unsigned or undated.

    Args:
        governance: the use case's section, with `statements`.
        section: name of the section in errors.
        recorded: the mandatory statements of a bundle, which may be written by other documents than those that are
            installed here; None for those of all installed documents.
        kinds: the documents whose statements may not be missing; all installed ones when None.

    Raises:
        DocumentError: every missing or incomplete statement, by key, with what it has to say.
    """
    missing, given = unstated(governance, kinds), governance.get("statements") or {}
    faults = [
        f"{section}.statements.{key}: {'holds a placeholder' if key in given else 'is missing'}; it has to say {text}"
        for key, text in missing.items()
    ]
    faults += _wrong(governance, section, recorded)
    placeholders = [name for name in unnamed(governance) if governance.get(name)]
    faults += [f"{section}.{name}: {governance[name]!r} is a placeholder" for name in placeholders]
    if faults:
        raise DocumentError("\n".join(faults))


def check_given(
    governance: Mapping[str, Any], section: str = "governance", recorded: Iterable[str] | None = None
) -> None:
    """Refuse statements that are given and wrong: of an unknown key, or without text, author or date.

    Raises:
        DocumentError: every such statement, by key.
    """
    if faults := _wrong(governance, section, recorded):
        raise DocumentError("\n".join(faults))


def _wrong(governance: Mapping[str, Any], section: str, recorded: Iterable[str] | None) -> list[str]:
    # Almanac's own are asked for in any case: a manifest that was altered could record none.
    if recorded is None:
        mandatory = mandatory_statements(documents())
    else:
        mandatory = dict.fromkeys(recorded, "what its document needs") | mandatory_statements(own_documents())
    faults = []
    for key, statement in (governance.get("statements") or {}).items():
        if key not in mandatory:
            faults.append(
                f"{section}.statements.{key}: unknown; expected one of {', '.join(mandatory)}; if the document of an "
                f"extension asks for it, install that package here ({KINDS.group})"
            )
            continue
        empty = [name for name in _PARTS if not str(statement.get(name) or "").strip()]
        faults.extend(f"{section}.statements.{key}.{name}: is empty" for name in empty)
    faults.extend(f"{section}.{name}: is empty" for name in ("owner", "contact") if not governance.get(name))
    return faults
