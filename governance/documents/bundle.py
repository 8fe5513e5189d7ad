"""The governance directory of a run: documents, their references, and a manifest of all files."""

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from almanac.core.errors import DocumentError
from almanac.core.files import canonical_json, pretty_json, sha256_bytes, whole_directory
from governance.documents import cyclonedx
from governance.documents.artifacts import REQUIRED, Artifacts, escape
from governance.documents.computed import compute
from governance.documents.html import page
from governance.documents.kind import KINDS, Document, documents, rules
from governance.documents.kinds.risk_assessment.risk import check_given_answers, unanswered
from governance.documents.layout import (
    COMPUTED,
    FOLDER,
    MANIFEST,
    MATERIALS,
    MODEL_CARD,
    PAGE,
    PROVENANCE,
    REFERENCES,
    REGISTRATION,
    USECASE,
)
from governance.documents.provenance import provenance
from governance.documents.references import References, unmark
from governance.documents.render import render_document
from governance.documents.statements import check_given, mandatory_statements, unnamed, unstated
from governance.signing import PUBLIC_KEY, SIGNATURE

#: Number of a reference -> where it is printed, as references.json records it.
_Locations = dict[int, dict[str, Any]]
#: Libraries that turn templates and tables into the documents' bytes.
_RENDERERS = ("jinja2", "markdown-it-py", "matplotlib")


def write_documents(
    files: Mapping[str, Path], usecase: str, registration: Mapping[str, Any], target: Path
) -> dict[str, Any]:
    """Write the governance directory, whole or not at all, and return its manifest.

    Args:
        files: URI -> path of the run's artifacts, as `run_files` returns them.
        usecase: the use case as canonical JSON text, whose sha256 the model records.
        registration: content of registration.json: version, address, event, signature.
        target: the directory to write.

    Raises:
        DocumentError: an artifact is missing, by name; a statement or answer that is given is wrong; a number that
            is not a reference; a bill of materials that does not follow its schema.
    """
    missing = [name for name in REQUIRED if name not in files]
    if missing:
        raise DocumentError(f"{missing[0]}: missing from the artifacts; documents cannot do without it")
    governance = json.loads(usecase)["governance"]
    check_given(governance)
    check_given_answers(governance["risk"])
    with whole_directory(target) as folder:
        artifacts = render_documents(files, usecase, registration, folder, documents())
        manifest = _manifest(artifacts, registration)
        (folder / MANIFEST).write_bytes(canonical_json(manifest) + b"\n")
    return manifest


def render_documents(
    files: Mapping[str, Path],
    usecase: str,
    registration: Mapping[str, Any],
    folder: Path,
    kinds: Sequence[Document],
    recorded: Mapping[str, Any] | None = None,
) -> Artifacts:
    """Write every file of a governance directory but its manifest, the same bytes from the same artifacts.

    Args:
        files: URI -> path of the run's artifacts.
        usecase: the use case as canonical JSON text.
        registration: content of registration.json with the signature.
        folder: an existing directory.
        kinds: the documents to write.
        recorded: facts to start from, of documents whose kind is not installed.

    Returns:
        The artifacts and the written files.
    """
    bundle = _Bundle(folder, Artifacts(files), kinds)
    bundle.put_inputs(usecase, registration)
    # Facts are written first: the documents quote computed.json like any other artifact.
    before, computed = recorded or {}, compute(bundle.artifacts, kinds)
    # Of a document that is not installed here, what it lacks is known from the record alone.
    computed["unstated"] = {**before.get("unstated", {}), **computed["unstated"]}
    bundle.put(COMPUTED, pretty_json({**before, **computed}))
    locations = bundle.put_documents() | bundle.put_bills()
    bundle.put(PROVENANCE, pretty_json(provenance(bundle.artifacts)))
    bundle.put(REFERENCES, pretty_json({"format": 1, "references": bundle.listed(locations)}))
    return bundle.artifacts


def renderers() -> dict[str, str]:
    """Return the versions of the libraries on which the documents' bytes depend."""
    return {name: version(name) for name in _RENDERERS}


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """Return the digest of a manifest's fields, without the digest that it records itself."""
    return sha256_bytes(canonical_json({key: value for key, value in manifest.items() if key != "digest"}))


class _Bundle:
    """A governance directory while it is written."""

    def __init__(self, folder: Path, artifacts: Artifacts, kinds: Sequence[Document]) -> None:
        self.folder, self.artifacts, self.kinds = folder, artifacts, kinds
        self.references = References(artifacts)

    def put(self, name: str, text: str) -> None:
        """Write a file; later documents can quote it."""
        (self.folder / name).write_text(text, encoding="utf-8")
        self.artifacts.add(f"{FOLDER}/{name}", self.folder / name)

    def put_inputs(self, usecase: str, registration: Mapping[str, Any]) -> None:
        """Write use case, registration and signature, which the documents quote."""
        # The signature is a file of its own, for tools that know nothing of this registration.
        signature = dict(registration.get("signature") or {})
        # The bundle is a file of its own, which the verifying library reads.
        texts = {SIGNATURE: signature.pop("bundle", None), PUBLIC_KEY: signature.get("public_key")}
        self.put(USECASE.removeprefix(f"{FOLDER}/"), usecase)
        self.put(REGISTRATION.removeprefix(f"{FOLDER}/"), pretty_json({**registration, "signature": signature}))
        for name, text in texts.items():
            if text is not None:
                self.put(name, text)

    def put_documents(self) -> _Locations:
        """Write the Markdown documents and the index page."""
        marked, locations = {}, {}
        for document in self.kinds:
            marked[document] = render_document(self.references, document)
            text, starts = unmark(marked[document])
            self.put(document.file, text)
            for number, start in starts:
                # Recorded for people; the verification goes by the start.
                line = text.count("\n", 0, start) + 1
                locations[number] = {"document": document.file, "start": start, "line": line}
        title = str(self.artifacts.value(USECASE, "/title"))
        self.put(PAGE, page(self.references, [(each.name, each.title, text) for each, text in marked.items()], title))
        return locations

    def put_bills(self) -> _Locations:
        """Write the CycloneDX documents."""
        locations: _Locations = {}
        card = _located(cyclonedx.model_card(self.references), "", locations)
        for name, bill in ((MODEL_CARD, card), (MATERIALS, cyclonedx.bill_of_materials(self.artifacts))):
            text = cyclonedx.dump(bill)
            cyclonedx.validate(text, name)
            self.put(name, text)
        return locations

    def listed(self, locations: _Locations) -> list[dict[str, Any]]:
        """Return the entries of references.json."""
        fields = ("uri", "sha256", "pointer", "format", "text")
        return [locations[each.number] | {name: getattr(each, name) for name in fields} for each in self.references]


def _located(value: Any, pointer: str, locations: _Locations) -> Any:
    """Return a JSON document without marks, and record where each reference is printed."""
    if isinstance(value, dict):
        return {key: _located(item, f"{pointer}/{escape(key)}", locations) for key, item in value.items()}
    if isinstance(value, list):
        return [_located(item, f"{pointer}/{index}", locations) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    text, starts = unmark(value)
    for number, _ in starts:
        locations[number] = {"document": MODEL_CARD, "at": pointer}
    return text


def not_stated(governance: Mapping[str, Any], kinds: Iterable[Document] | None = None) -> list[str]:
    """Return the fields of the section governance that are missing or hold placeholders; none but in a draft.

    Args:
        governance: the use case's section.
        kinds: the documents that need statements; all installed ones when None.
    """
    answers = unanswered(governance.get("risk") or {})
    statements = [f"statements.{key}" for key in unstated(governance, kinds)]
    return [*statements, *(f"risk.{key}" for key in answers), *unnamed(governance)]


def _manifest(artifacts: Artifacts, registration: Mapping[str, Any]) -> dict[str, Any]:
    own, others = {}, {}
    for uri, artifact in artifacts.files.items():
        entry = {"sha256": artifact.sha256, "bytes": len(artifact.data)}
        if uri.startswith(f"{FOLDER}/"):
            own[uri.removeprefix(f"{FOLDER}/")] = entry
        else:
            others[uri] = entry
    manifest: dict[str, Any] = {
        "format": 1,
        "rules": rules(),
        "renderers": renderers(),
        "documents": {
            document.file: {"package": KINDS.package(document.name), "required": document.required}
            for document in documents()
        },
        "use_case": registration["use_case"],
        "version": registration["version"],
        "complete": True,
        "statements": sorted(mandatory_statements(documents())),
        "not_stated": not_stated(artifacts.value(USECASE, "/governance")),
        "files": own,
        "artifacts": others,
    }
    return {**manifest, "digest": manifest_digest(manifest)}
