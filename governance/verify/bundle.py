"""The single checks of a verification; each returns how many things it checked, and a note."""

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
from governance.documents.bundle import (
    COMPUTED,
    FOLDER,
    MANIFEST,
    MATERIALS,
    MODEL_CARD,
    PROVENANCE,
    REFERENCES,
    RULES,
)
from governance.documents.computed import REGISTRATION, USECASE, compute
from governance.documents.evidence import Evidence
from governance.documents.provenance import provenance
from governance.documents.references import render, unreferenced
from governance.documents.render import DOCUMENTS
from governance.documents.statements import check_statements
from governance.registry import REQUIRED_DOCUMENTS
from governance.verify.event_chain import RECORD, check_chain, recorded_registry

_SPAN = re.compile(r'<span class="ref" data-ref="(\d+)" title="[^"]*">(.*?)</span>', re.S)


@dataclass
class Bundle:
    """What is verified.

    Attributes:
        model: the model directory.
        folder: the governance directory.
        evidence: artifacts and documents.
        manifest: of the governance directory, checked.
        registry: the registry to hold it against, or None for the one that the run recorded.
        trust: the key or identity that must have signed, or None for the key in the bundle.
        run: the run directory, None where the documents lie apart from it.
    """

    model: Path
    folder: Path
    evidence: Evidence
    manifest: dict[str, Any]
    registry: str | None
    trust: Path | signing.Identity | None
    run: Path | None = None


def _hashes(bundle: Bundle) -> tuple[int, str]:
    """Check that every file of the manifest has its sha256, and that no other lies beside them."""
    listed = {f"{FOLDER}/{name}": entry for name, entry in bundle.manifest["files"].items()}
    listed |= bundle.manifest["artifacts"]
    for uri, entry in listed.items():
        found = bundle.evidence.artifact(uri).sha256
        if found != entry["sha256"]:
            raise DocumentError(f"{uri}: altered; its sha256 is {found[:12]}…, not {entry['sha256'][:12]}…")
    for uri in bundle.evidence.artifacts:
        if uri not in listed and uri != f"{FOLDER}/{MANIFEST}":
            raise DocumentError(f"{uri}: not listed in {FOLDER}/{MANIFEST}")
    missing = [name for name in REQUIRED_DOCUMENTS[:-1] if name not in bundle.manifest["files"]]
    if missing or bundle.manifest["complete"] is not True:
        raise DocumentError(f"{FOLDER}/{MANIFEST}: the documents are incomplete, without {', '.join(missing)}")
    return len(listed) + _model_files(bundle.evidence), ""


def _model_files(evidence: Evidence) -> int:
    """Check the model's own manifests, the run's and each target's."""
    count = 0
    for uri, artifact in evidence.artifacts.items():
        if not (uri.startswith("model/") and uri.endswith("/manifest.json")):
            continue
        folder = uri.removesuffix("manifest.json")
        for name, entry in artifact.document["files"].items():
            if evidence.artifact(f"{folder}{name}").sha256 != entry["sha256"]:
                raise DocumentError(f"{folder}{name}: not the file that {uri} lists")
            count += 1
    return count


def _registration(bundle: Bundle) -> tuple[int, str]:
    """Check that model, use case, version and statements fit together."""
    evidence, registration = bundle.evidence, bundle.evidence.document(REGISTRATION)
    model = evidence.artifact("model/manifest.json")
    if registration["model"] != model.sha256:
        raise DocumentError(f"{REGISTRATION}: is about another model than model/manifest.json")
    if model.document["use_case_digest"] != evidence.artifact(USECASE).sha256:
        raise DocumentError(f"{USECASE}: not the use case that the model was made from (model/manifest.json)")
    for key in ("use_case", "version"):
        if bundle.manifest[key] != registration[key]:
            raise DocumentError(f"{FOLDER}/{MANIFEST}: {key} is not that of {REGISTRATION}")
    check_statements(evidence.value(USECASE, "/governance"), f"{USECASE}: governance")
    return 4 + _table(evidence), ""


def _table(evidence: Evidence) -> int:
    """Check that the table whose size and missing shares are quoted is the one that the model was trained on."""
    table = evidence.document("tuning.json").get("table") if "tuning.json" in evidence.artifacts else None
    if table and table["sha256"] != evidence.value("model/manifest.json", "/data_digest"):
        raise DocumentError("tuning.json: describes another table than the model was trained on (model/manifest.json)")
    return int(table is not None)


def _references(bundle: Bundle) -> tuple[int, str]:
    """Check that every figure of every document is what its artifact says, and that there is no other."""
    evidence = bundle.evidence
    references = evidence.value(f"{FOLDER}/{REFERENCES}", "/references")
    spans: dict[str, list[tuple[int, int]]] = {name: [] for name in DOCUMENTS}
    texts = {name: evidence.artifact(f"{FOLDER}/{name}").data.decode() for name in DOCUMENTS}
    for reference in references:
        _check_reference(evidence, reference)
        name, text = reference["document"], reference["text"]
        if name == MODEL_CARD:
            found, place = evidence.value(f"{FOLDER}/{name}", reference["at"]), reference["at"]
        else:
            end = reference["start"] + len(text)
            found, place = texts[name][reference["start"] : end], f"line {reference['line']}"
            spans[name].append((reference["start"], end))
        if found != text:
            raise DocumentError(f"{FOLDER}/{name}: {place}: says {found!r}; its artifact says {text!r}")
    for name, text in texts.items():
        stray = unreferenced(text, spans[name])
        if stray:
            raise DocumentError(f"{FOLDER}/{name}: line {stray[0]}: {stray[1]!r} is no reference to an artifact")
    return len(references), ""


def _check_reference(evidence: Evidence, reference: dict[str, Any]) -> None:
    uri, pointer = reference["uri"], reference["pointer"]
    if evidence.artifact(uri).sha256 != reference["sha256"]:
        raise DocumentError(f"{uri}: not the artifact that {reference['document']} quotes")
    text = render(evidence, uri, pointer, reference["format"])
    if text != reference["text"]:
        raise DocumentError(f"{uri}#{pointer}: is {text!r}; {reference['document']} quotes {reference['text']!r}")


def _page(bundle: Bundle) -> tuple[int, str]:
    """Check that the page shows the same figures, by letters and digits, for Markdown takes marks away."""
    references = bundle.evidence.value(f"{FOLDER}/{REFERENCES}", "/references")
    spans = _SPAN.findall(bundle.evidence.artifact(f"{FOLDER}/index.html").data.decode())
    for number, shown in spans:
        plain = unescape(re.sub(r"<[^>]*>", "", shown))
        if re.sub(r"\W", "", plain) != re.sub(r"\W", "", references[int(number)]["text"]):
            raise DocumentError(f"{FOLDER}/index.html: shows {plain!r} for reference {number}")
    if not spans:
        raise DocumentError(f"{FOLDER}/index.html: shows no figure that is a reference")
    return len(spans), ""


def _derived(bundle: Bundle) -> tuple[int, str]:
    """Check that risk class, checklist, provenance and materials come out again as they were written."""
    if bundle.manifest.get("rules") != RULES:
        return 0, f"made by rules {bundle.manifest.get('rules')}, which are not those of this release: not made again"
    evidence = bundle.evidence
    made = {
        COMPUTED: pretty_json(compute(_without(evidence, COMPUTED))),
        PROVENANCE: pretty_json(provenance(evidence)),
        MATERIALS: cyclonedx.dump(cyclonedx.bill_of_materials(evidence)),
    }
    for name, text in made.items():
        if text.encode() != evidence.artifact(f"{FOLDER}/{name}").data:
            raise DocumentError(f"{FOLDER}/{name}: made again from the artifacts, something else comes out")
    return len(made), ""


def _without(evidence: Evidence, name: str) -> Evidence:
    uri = f"{FOLDER}/{name}"
    return Evidence({key: value for key, value in evidence.artifacts.items() if key != uri})


def _metrics(bundle: Bundle) -> tuple[int, str]:
    from governance.verify.metrics import check_metrics

    return check_metrics(bundle.evidence), "bootstrap intervals are not drawn again"


def _bills(bundle: Bundle) -> tuple[int, str]:
    """Check that the bills of materials keep to their schema."""
    for name in (MODEL_CARD, MATERIALS):
        cyclonedx.validate(bundle.evidence.artifact(f"{FOLDER}/{name}").data.decode(), f"{FOLDER}/{name}")
    return 2, ""


def _signature(bundle: Bundle) -> tuple[int, str]:
    """Check that the model directory is what was signed, with the trusted key or else the bundle's own."""
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
    """Check the chain in the registry that is named, or else in the one that the run recorded, if it can be read."""
    registration, note = bundle.evidence.document(REGISTRATION), ""
    url = bundle.registry
    if url is None:
        url, lacking = recorded_registry(bundle.run, registration["use_case"])
        if url is None:
            return 0, f"not checked: {lacking}; give --registry"
        note = f"in {url}, by {RECORD}"
    return check_chain(url, registration, bundle.folder), note


def _run_record(bundle: Bundle) -> tuple[int, str]:
    """Check every file that run.json lists, the reports and the manifest among them; run.json itself is not signed."""
    if bundle.run is None or not (bundle.run / RECORD).is_file():
        return 0, f"no {RECORD}: documents apart from a run"
    listed = read_json(bundle.run / RECORD)["artifacts"]
    for name, entry in listed.items():
        if not (bundle.run / name).is_file():
            raise DocumentError(f"{name}: missing; {RECORD} lists it")
        found = sha256_file(bundle.run / name)
        if found != entry["sha256"]:
            raise DocumentError(f"{name}: altered; its sha256 is {found[:12]}…, not {entry['sha256'][:12]}… ({RECORD})")
    return len(listed), f"by {RECORD}, which nothing signs"


#: In the order in which they are made: what is cheap, and names the file, comes first.
CHECKS: dict[str, Callable[[Bundle], tuple[int, str]]] = {
    "hashes": _hashes,
    "registration": _registration,
    "event chain": _chain,
    "references": _references,
    "page": _page,
    "derived": _derived,
    "metrics": _metrics,
    "bills of materials": _bills,
    "signature": _signature,
    "run record": _run_record,
}
