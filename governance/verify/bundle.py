"""Single checks of a verification; each returns the number of checked items and a note."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

from almanac.core.errors import DocumentError
from almanac.core.files import pretty_json, read_json, sha256_file
from governance import signing
from governance.documents import cyclonedx
from governance.documents.artifacts import Artifacts
from governance.documents.computed import compute
from governance.documents.kind import KINDS, Document, documents, own_documents, rules
from governance.documents.layout import (
    COMMON_FILES,
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
from governance.documents.references import render, unreferenced
from governance.documents.statements import check_statements
from governance.verify.event_chain import RECORD, check_chain, recorded_registry

_SPAN = re.compile(r'<span class="ref" data-ref="(\d+)" title="[^"]*">(.*?)</span>', re.S)


@dataclass
class Bundle:
    """A governance directory to verify.

    Attributes:
        model: the model directory.
        folder: the governance directory.
        artifacts: the run's artifacts and the documents.
        manifest: content of the governance directory's manifest.
        registry: the registry to compare with, or None for the one that the run recorded.
        trust: the key or identity that must have signed, or None for the key in the bundle.
        run: the run directory, None if the documents are not in one.
    """

    model: Path
    folder: Path
    artifacts: Artifacts
    manifest: dict[str, Any]
    registry: str | None
    trust: Path | signing.Identity | None
    run: Path | None = None

    @property
    def documents(self) -> dict[str, dict[str, Any]]:
        """The documents by file: the package that wrote each, and whether promotion requires it."""
        # Almanac's own documents are required whatever a manifest says, and manifests of earlier releases list none.
        own = {document.file: {"package": "", "required": document.required} for document in own_documents()}
        return {**self.manifest.get("documents", {}), **own}

    @property
    def kinds(self) -> list[Document]:
        """The installed kinds of the documents."""
        return [document for document in documents() if document.file in self.documents]


def _hashes(bundle: Bundle) -> tuple[int, str]:
    """Check that every file of the manifest has its sha256, and that there are no other files."""
    listed = {f"{FOLDER}/{name}": entry for name, entry in bundle.manifest["files"].items()}
    listed |= bundle.manifest["artifacts"]
    for uri, entry in listed.items():
        digest = bundle.artifacts[uri].sha256
        if digest != entry["sha256"]:
            raise DocumentError(f"{uri}: altered; its sha256 is {digest[:12]}…, not {entry['sha256'][:12]}…")
    for uri in bundle.artifacts.files:
        if uri not in listed and uri != f"{FOLDER}/{MANIFEST}":
            raise DocumentError(f"{uri}: not listed in {FOLDER}/{MANIFEST}")
    required = [name for name, entry in bundle.documents.items() if entry["required"]]
    missing = [name for name in (*required, *COMMON_FILES[:-1]) if name not in bundle.manifest["files"]]
    if missing or bundle.manifest["complete"] is not True:
        raise DocumentError(f"{FOLDER}/{MANIFEST}: the documents are incomplete, without {', '.join(missing)}")
    return len(listed) + _model_files(bundle.artifacts), ""


def _model_files(artifacts: Artifacts) -> int:
    """Check the model's own manifests, the run's and each target's."""
    count = 0
    for uri, artifact in artifacts.files.items():
        if not (uri.startswith("model/") and uri.endswith("/manifest.json")):
            continue
        folder = uri.removesuffix("manifest.json")
        for name, entry in artifact.document["files"].items():
            if artifacts[f"{folder}{name}"].sha256 != entry["sha256"]:
                raise DocumentError(f"{folder}{name}: not the file that {uri} lists")
            count += 1
    return count


def _registration(bundle: Bundle) -> tuple[int, str]:
    """Check that model, use case, version and statements fit together."""
    artifacts, registration = bundle.artifacts, bundle.artifacts.document(REGISTRATION)
    model = artifacts["model/manifest.json"]
    if registration["model"] != model.sha256:
        raise DocumentError(f"{REGISTRATION}: is about another model than model/manifest.json")
    if model.document["use_case_digest"] != artifacts[USECASE].sha256:
        raise DocumentError(f"{USECASE}: not the use case that the model was made from (model/manifest.json)")
    for key in ("use_case", "version"):
        if bundle.manifest[key] != registration[key]:
            raise DocumentError(f"{FOLDER}/{MANIFEST}: {key} is not that of {REGISTRATION}")
    statements = bundle.manifest["statements"]
    check_statements(artifacts.value(USECASE, "/governance"), f"{USECASE}: governance", recorded=statements)
    return 4 + _table(artifacts), ""


def _table(artifacts: Artifacts) -> int:
    """Check that the documents describe the table that the model was trained on."""
    table = artifacts.document("tuning.json").get("table") if "tuning.json" in artifacts else None
    if table and table["sha256"] != artifacts.value("model/manifest.json", "/data_digest"):
        raise DocumentError("tuning.json: describes another table than the model was trained on (model/manifest.json)")
    return int(table is not None)


def _kinds(bundle: Bundle) -> tuple[int, str]:
    """Count the documents whose kind is installed, and name the packages that the others need."""
    installed = [document.file for document in bundle.kinds]
    absent = [f"{name} needs {each['package']}" for name, each in bundle.documents.items() if name not in installed]
    if absent:
        return 0, f"not installed here, so their facts are not derived again: {', '.join(absent)}"
    return len(installed), ""


def _references(bundle: Bundle) -> tuple[int, str]:
    """Check that every number of every document is a reference, and that its artifact has that value."""
    artifacts = bundle.artifacts
    references = artifacts.value(f"{FOLDER}/{REFERENCES}", "/references")
    texts = {name: artifacts[f"{FOLDER}/{name}"].data.decode() for name in bundle.documents}
    spans: dict[str, list[tuple[int, int]]] = {name: [] for name in texts}
    for reference in references:
        _check_reference(artifacts, reference)
        name, text = reference["document"], reference["text"]
        if name == MODEL_CARD:
            printed, location = artifacts.value(f"{FOLDER}/{name}", reference["at"]), reference["at"]
        else:
            end = reference["start"] + len(text)
            printed, location = texts[name][reference["start"] : end], f"line {reference['line']}"
            spans[name].append((reference["start"], end))
        if printed != text:
            raise DocumentError(f"{FOLDER}/{name}: {location}: says {printed!r}; its artifact says {text!r}")
    for name, text in texts.items():
        stray = unreferenced(text, spans[name])
        if stray:
            raise DocumentError(f"{FOLDER}/{name}: line {stray[0]}: {stray[1]!r} is no reference to an artifact")
    return len(references), ""


def _check_reference(artifacts: Artifacts, reference: dict[str, Any]) -> None:
    uri, pointer = reference["uri"], reference["pointer"]
    if artifacts[uri].sha256 != reference["sha256"]:
        raise DocumentError(f"{uri}: not the artifact that {reference['document']} quotes")
    text = render(artifacts, uri, pointer, reference["format"])
    if text != reference["text"]:
        raise DocumentError(f"{uri}#{pointer}: is {text!r}; {reference['document']} quotes {reference['text']!r}")


def _page(bundle: Bundle) -> tuple[int, str]:
    """Check that the page shows the same values, by letters and digits, as Markdown removes punctuation."""
    references = bundle.artifacts.value(f"{FOLDER}/{REFERENCES}", "/references")
    spans = _SPAN.findall(bundle.artifacts[f"{FOLDER}/{PAGE}"].data.decode())
    for number, shown in spans:
        plain = unescape(re.sub(r"<[^>]*>", "", shown))
        if re.sub(r"\W", "", plain) != re.sub(r"\W", "", references[int(number)]["text"]):
            raise DocumentError(f"{FOLDER}/{PAGE}: shows {plain!r} for reference {number}")
    if not spans:
        raise DocumentError(f"{FOLDER}/{PAGE}: shows no value that is a reference")
    return len(spans), ""


def _derived(bundle: Bundle) -> tuple[int, str]:
    """Derive facts, provenance and bill of materials again, and compare them.

    Another release or set of extensions may derive something else, which is then a note and no error.
    """
    artifacts, packages = bundle.artifacts, {each.file: KINDS.package(each.name) for each in bundle.kinds}
    same_rules = bundle.manifest["rules"] == rules() and all(
        bundle.documents[name]["package"] == package for name, package in packages.items()
    )
    # The facts of a document that is not installed here are left as they are.
    recorded = artifacts.document(f"{FOLDER}/{COMPUTED}") if bundle.documents.keys() - packages.keys() else {}
    derivations: dict[str, Callable[[], str]] = {
        COMPUTED: lambda: pretty_json(recorded | compute(artifacts, bundle.kinds)),
        PROVENANCE: lambda: pretty_json(provenance(artifacts)),
        MATERIALS: lambda: cyclonedx.dump(cyclonedx.bill_of_materials(artifacts)),
    }
    differing = []
    for name, derive in derivations.items():
        if derive().encode() != artifacts[f"{FOLDER}/{name}"].data:
            if same_rules:
                raise DocumentError(f"{FOLDER}/{name}: the artifacts give something else when it is derived again")
            differing.append(name)
    note = f"{', '.join(differing)}: written by another release, this one derives something else" if differing else ""
    return len(derivations) - len(differing), note


def _metrics(bundle: Bundle) -> tuple[int, str]:
    from governance.verify.metrics import check_metrics

    return check_metrics(bundle.artifacts), "bootstrap intervals are not recomputed"


def _bills(bundle: Bundle) -> tuple[int, str]:
    """Check that the bills of materials follow their schema."""
    for name in (MODEL_CARD, MATERIALS):
        cyclonedx.validate(bundle.artifacts[f"{FOLDER}/{name}"].data.decode(), f"{FOLDER}/{name}")
    return 2, ""


def _signature(bundle: Bundle) -> tuple[int, str]:
    """Check the signature of the model directory, with the trusted key or else the bundle's own."""
    folder = bundle.folder
    if not (folder / signing.SIGNATURE).exists():
        raise DocumentError(f"{FOLDER}/{signing.SIGNATURE}: missing; the model is not signed")
    if bundle.trust is None and not (folder / signing.PUBLIC_KEY).exists():
        return 0, "a keyless signature, not checked: give --identity and --issuer"
    trust = bundle.trust or folder / signing.PUBLIC_KEY
    signing.verify(bundle.model, folder / signing.SIGNATURE, trust)
    if isinstance(trust, signing.Identity):
        return 1, f"signed by {trust.subject}"
    note = "" if bundle.trust else "; the key is the bundle's own: give --public-key to pin it"
    return 1, f"key {sha256_file(trust)[:12]}…{note}"


def _chain(bundle: Bundle) -> tuple[int, str]:
    """Check the event chain of the given registry, or else of the one that the run recorded, if it can be read."""
    registration, note = bundle.artifacts.document(REGISTRATION), ""
    url = bundle.registry
    if url is None:
        url, reason = recorded_registry(bundle.run, registration["use_case"])
        if url is None:
            return 0, f"not checked: {reason}; give --registry"
        note = f"in {url}, by {RECORD}"
    return check_chain(url, registration, bundle.folder), note


def _run_record(bundle: Bundle) -> tuple[int, str]:
    """Check every file that run.json lists, reports and manifests included; run.json itself is not signed."""
    if bundle.run is None or not (bundle.run / RECORD).is_file():
        return 0, f"no {RECORD}: these documents are not in a run's directory"
    listed = read_json(bundle.run / RECORD)["artifacts"]
    for name, entry in listed.items():
        if not (bundle.run / name).is_file():
            raise DocumentError(f"{name}: missing; {RECORD} lists it")
        digest = sha256_file(bundle.run / name)
        if digest != entry["sha256"]:
            raise DocumentError(
                f"{name}: altered; its sha256 is {digest[:12]}…, not {entry['sha256'][:12]}… ({RECORD})"
            )
    return len(listed), f"by {RECORD}, which nothing signs"


#: Checks by name, the cheap ones, which name the file, first.
CHECKS: dict[str, Callable[[Bundle], tuple[int, str]]] = {
    "hashes": _hashes,
    "registration": _registration,
    "event chain": _chain,
    "references": _references,
    "page": _page,
    "document kinds": _kinds,
    "derived": _derived,
    "metrics": _metrics,
    "bills of materials": _bills,
    "signature": _signature,
    "run record": _run_record,
}
