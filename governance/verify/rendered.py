"""Documents rendered again from the artifacts that they are about, and compared byte by byte."""

import re
import tempfile
from collections.abc import Set
from pathlib import Path
from typing import Any

from almanac.core.errors import DocumentError
from governance import signing
from governance.documents.bundle import render_documents, renderers
from governance.documents.layout import COMPUTED, FOLDER, MODEL_CARD, PAGE, REFERENCES, REGISTRATION, USECASE
from governance.verify.bundle import Bundle
from governance.verify.differences import text_difference

_SVG = re.compile(r"<svg\b.*?</svg>", re.S)
#: Files that hold something of every document.
_SHARED = (PAGE, MODEL_CARD, REFERENCES)


def check_rendered(bundle: Bundle) -> tuple[int, str]:
    """Render every document again and compare it with the one in the bundle.

    A bundle that another release wrote may differ from what this one renders, which is then a note and no error: its
    bytes are those that were signed, and its numbers are checked by reference.

    Returns:
        The number of files that are the same, and a note on the others.

    Raises:
        DocumentError: the first file that differs, with line and both texts.
    """
    absent = bundle.documents.keys() - {document.file for document in bundle.kinds}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            _render(bundle, folder, bool(absent))
        except DocumentError as error:
            if bundle.same_release:
                raise
            return 0, f"written by another release, whose artifacts this one cannot render ({error})"
        # What every document has a part in cannot be rendered where one of them is not installed.
        rendered = [path for path in sorted(folder.iterdir()) if not (absent and path.name in _SHARED)]
        faults = {path.name: fault for path in rendered if (fault := _difference(bundle, path))}
    if bundle.same_release and faults:
        file, fault = next(iter(faults.items()))
        raise DocumentError(f"{FOLDER}/{file}: {fault}: the artifacts give something else when it is rendered again")
    return len(rendered) - len(faults), _limits(bundle, list(faults), absent)


def _limits(bundle: Bundle, differing: list[str], absent: Set[str]) -> str:
    notes = []
    if differing:
        notes.append(f"{', '.join(differing)}: written by another release, this one renders something else")
    if absent:
        notes.append(f"not rendered again without their packages: {', '.join(sorted({*absent, *_SHARED}))}")
    if not _plots_alike(bundle):
        notes.append("plots compared by their data, as another version of matplotlib drew them")
    return "; ".join(notes)


def _render(bundle: Bundle, folder: Path, partly: bool) -> None:
    artifacts = bundle.artifacts
    files = {uri: each.path for uri, each in artifacts.files.items() if not uri.startswith(f"{FOLDER}/")}
    registration = dict(artifacts.document(REGISTRATION))
    signature = f"{FOLDER}/{signing.SIGNATURE}"
    if signature in artifacts:
        # The documents keep the signature as a file of its own; the registration that they were written from held it.
        registration["signature"] = {**registration["signature"], "bundle": artifacts[signature].data.decode()}
    # Facts of a document that is not installed cannot be computed, but others quote computed.json as a whole.
    recorded = artifacts.document(f"{FOLDER}/{COMPUTED}") if partly else None
    render_documents(files, artifacts[USECASE].data.decode(), registration, folder, bundle.kinds, recorded)


def _difference(bundle: Bundle, path: Path) -> str | None:
    """Return where a file of the bundle differs from the one that was rendered again."""
    uri = f"{FOLDER}/{path.name}"
    if uri not in bundle.artifacts:
        return "missing"
    stated, computed = bundle.artifacts[uri].data, path.read_bytes()
    if stated == computed:
        return None
    said, expected = stated.decode(), computed.decode()
    # The plots' data are elements of the page of their own, and remain in both texts.
    if path.name == PAGE and not _plots_alike(bundle):
        said, expected = (_SVG.sub("", text) for text in (said, expected))
    return text_difference(said, expected)


def _plots_alike(bundle: Bundle) -> bool:
    """Return whether the installed matplotlib draws the same bytes for the same data as the bundle's."""
    drawn: Any = bundle.manifest.get("renderers", {}).get("matplotlib")
    return bool(drawn == renderers()["matplotlib"])
