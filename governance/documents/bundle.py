"""The governance directory of a run: every document, their references, and a manifest over all of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from almanac.core.errors import DocumentError
from almanac.core.files import canonical_json, pretty_json, sha256_bytes, whole_directory
from governance.documents import cyclonedx
from governance.documents.computed import REGISTRATION, USECASE, compute
from governance.documents.evidence import REQUIRED, Evidence, escape, tokens
from governance.documents.html import page
from governance.documents.provenance import provenance
from governance.documents.references import Book, Ref, unmark
from governance.documents.render import DOCUMENTS, render_document
from governance.documents.statements import MANDATORY, check_statements
from governance.signing import PUBLIC_KEY, SIGNATURE

FOLDER = "governance"
#: Counts the changes of what is computed: verify computes again only what was made by the same rules.
RULES = 2
MODEL_CARD, MATERIALS = "modelcard.cdx.json", "mlbom.cdx.json"
MANIFEST, REFERENCES, COMPUTED, PROVENANCE = "manifest.json", "references.json", "computed.json", "provenance.json"


def write_documents(
    files: Mapping[str, Path], usecase: str, registration: Mapping[str, Any], target: Path
) -> dict[str, Any]:
    """Write the governance directory, whole or not at all, and return its manifest.

    Args:
        files: uri -> path of the run's artifacts, as `evidence.run_files` gives them.
        usecase: the use case as canonical JSON text, whose sha256 the model carries.
        registration: content of registration.json: version, address, event, signature.
        target: the directory to write.

    Raises:
        DocumentError: a mandatory statement, an answer or an artifact is missing, by name; a figure that is no
            reference; a bill of materials that does not keep to its schema.
    """
    missing = [name for name in REQUIRED if name not in files]
    if missing:
        raise DocumentError(f"{missing[0]}: missing from the artifacts; documents cannot do without it")
    check_statements(json.loads(usecase)["governance"])
    with whole_directory(target) as aside:
        evidence = Evidence.of(files)
        _given(evidence, aside, usecase, registration)
        _put(evidence, aside, COMPUTED, pretty_json(compute(evidence)))
        book = Book(evidence)
        placed = _documents(book, aside)
        placed |= _bills(book, aside)
        _put(evidence, aside, PROVENANCE, pretty_json(provenance(evidence)))
        _put(evidence, aside, REFERENCES, pretty_json({"format": 1, "references": _listed(book, placed)}))
        manifest = _manifest(evidence, registration)
        (aside / MANIFEST).write_bytes(canonical_json(manifest) + b"\n")
    return manifest


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """Return the digest that a manifest carries of its other fields."""
    return sha256_bytes(canonical_json({key: value for key, value in manifest.items() if key != "digest"}))


def _given(evidence: Evidence, aside: Path, usecase: str, registration: Mapping[str, Any]) -> None:
    """Put what was given, not made here: use case, registration, signature."""
    signature = registration.get("signature") or {}
    kept = {key: value for key, value in signature.items() if key != "bundle"}
    _put(evidence, aside, USECASE.removeprefix(f"{FOLDER}/"), usecase)
    _put(evidence, aside, REGISTRATION.removeprefix(f"{FOLDER}/"), pretty_json({**registration, "signature": kept}))
    if "bundle" in signature:
        _put(evidence, aside, SIGNATURE, signature["bundle"])
    if "public_key" in signature:
        _put(evidence, aside, PUBLIC_KEY, signature["public_key"])


def _put(evidence: Evidence, aside: Path, name: str, text: str) -> None:
    (aside / name).write_text(text, encoding="utf-8")
    evidence.add(f"{FOLDER}/{name}", aside / name)


def context(book: Book) -> dict[str, Any]:
    """Return what templates see: artifacts as places to follow, and how to reach a target's files."""
    computed = book.ref(f"{FOLDER}/{COMPUTED}")

    def name(ref: Ref) -> str:
        return tokens(ref._pointer)[-1]

    return {
        "m": book.ref("metrics.json"),
        "gate": book.ref("gate.json"),
        "lineage": book.ref("lineage.json"),
        "tuning": book.ref("tuning.json"),
        "model": book.ref("model/manifest.json"),
        "u": book.ref(USECASE),
        "reg": book.ref(REGISTRATION),
        "c": computed,
        "computed": computed,
        "name": name,
        "target_manifest": lambda ref: book.ref(f"model/{name(ref)}/manifest.json"),
        "features": lambda ref: book.ref(f"model/{name(ref)}/features.json"),
    }


def _documents(book: Book, aside: Path) -> dict[int, dict[str, Any]]:
    """Write the Markdown documents and the page; return reference number -> place."""
    marked, placed = {}, {}
    for name in DOCUMENTS:
        marked[name] = render_document(book, name, context(book))
        text, places = unmark(marked[name])
        _put(book.evidence, aside, name, text)
        for number, start in places:
            placed[number] = {"document": name, "start": start, "line": text.count("\n", 0, start) + 1}
    title = str(book.evidence.value(USECASE, "/title"))
    _put(book.evidence, aside, "index.html", page(book, marked, title))
    return placed


def _bills(book: Book, aside: Path) -> dict[int, dict[str, Any]]:
    """Write the CycloneDX documents; return reference number -> place."""
    placed: dict[int, dict[str, Any]] = {}
    card = _placed(cyclonedx.model_card(book), "", placed)
    for name, document in ((MODEL_CARD, card), (MATERIALS, cyclonedx.bill_of_materials(book.evidence))):
        text = cyclonedx.dump(document)
        cyclonedx.validate(text, name)
        _put(book.evidence, aside, name, text)
    return placed


def _placed(value: Any, pointer: str, placed: dict[int, dict[str, Any]]) -> Any:
    """Return a JSON document without marks, noting where each reference stands."""
    if isinstance(value, dict):
        return {key: _placed(item, f"{pointer}/{escape(key)}", placed) for key, item in value.items()}
    if isinstance(value, list):
        return [_placed(item, f"{pointer}/{index}", placed) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    text, places = unmark(value)
    for number, _ in places:
        placed[number] = {"document": MODEL_CARD, "at": pointer}
    return text


def _listed(book: Book, placed: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            **placed[reference.number],
            "uri": reference.uri,
            "sha256": reference.sha256,
            "pointer": reference.pointer,
            "format": reference.format,
            "text": reference.text,
        }
        for reference in book.references
    ]


def _manifest(evidence: Evidence, registration: Mapping[str, Any]) -> dict[str, Any]:
    own, others = {}, {}
    for uri, artifact in evidence.artifacts.items():
        entry = {"sha256": artifact.sha256, "bytes": len(artifact.data)}
        if uri.startswith(f"{FOLDER}/"):
            own[uri.removeprefix(f"{FOLDER}/")] = entry
        else:
            others[uri] = entry
    manifest: dict[str, Any] = {
        "format": 1,
        "rules": RULES,
        "use_case": registration["use_case"],
        "version": registration["version"],
        "complete": True,
        "statements": sorted(MANDATORY),
        "files": own,
        "artifacts": others,
    }
    return {**manifest, "digest": manifest_digest(manifest)}
