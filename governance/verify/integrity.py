"""Checks that a bundle's files are whole, fit together, and say nothing without a reference."""

import re
from html import unescape
from typing import Any

from almanac.core.errors import DocumentError
from almanac.core.files import read_json, sha256_file
from governance import signing
from governance.documents import cyclonedx
from governance.documents.artifacts import Artifacts
from governance.documents.bundle import not_stated
from governance.documents.kind import own_documents
from governance.documents.layout import (
    COMMON_FILES,
    FOLDER,
    MANIFEST,
    MATERIALS,
    MODEL_CARD,
    PAGE,
    REFERENCES,
    REGISTRATION,
    USECASE,
)
from governance.documents.references import render, unreferenced
from governance.documents.statements import check_given, check_statements, mandatory_statements
from governance.documents.usecase import is_trained_from
from governance.verify.bundle import Bundle
from governance.verify.event_chain import RECORD

_SPAN = re.compile(r'<span class="ref" data-ref="(\d+)" title="[^"]*">(.*?)</span>', re.S)

#: Files of the governance directory that its manifest cannot list: itself, and the signature of all of them.
_UNLISTED = (f"{FOLDER}/{MANIFEST}", f"{FOLDER}/{signing.DOCUMENTS_SIGNATURE}")


def check_hashes(bundle: Bundle) -> tuple[int, str]:
    """Check that every file of the manifest has its sha256, and that there are no other files."""
    listed = {f"{FOLDER}/{name}": entry for name, entry in bundle.manifest["files"].items()}
    listed |= bundle.manifest["artifacts"]
    for uri, entry in listed.items():
        digest = bundle.artifacts[uri].sha256
        if digest != entry["sha256"]:
            raise DocumentError(f"{uri}: altered; its sha256 is {digest[:12]}…, not {entry['sha256'][:12]}…")
    for uri in bundle.artifacts.files:
        if uri not in listed and uri not in _UNLISTED:
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


def check_registration(bundle: Bundle) -> tuple[int, str]:
    """Check that model, use case, version and statements fit together."""
    artifacts, registration = bundle.artifacts, bundle.artifacts.document(REGISTRATION)
    model = artifacts["model/manifest.json"]
    if registration["model"] != model.sha256:
        raise DocumentError(f"{REGISTRATION}: is about another model than model/manifest.json")
    if not is_trained_from(artifacts):
        raise DocumentError(f"{USECASE}: not the use case that the model was made from (model/manifest.json)")
    for key in ("use_case", "version"):
        if bundle.manifest[key] != registration[key]:
            raise DocumentError(f"{FOLDER}/{MANIFEST}: {key} is not that of {REGISTRATION}")
    return 4 + _table(artifacts), _check_stated(bundle)


def _check_stated(bundle: Bundle) -> str:
    """Check the statements, and that a draft says that it is one; return a note on a draft."""
    governance, statements = bundle.artifacts.value(USECASE, "/governance"), bundle.manifest["statements"]
    section, missing = f"{USECASE}: governance", bundle.manifest.get("not_stated")
    # Almanac's own in any case, as the manifest may be altered; of the others those that wrote this bundle.
    kinds = list(dict.fromkeys([*own_documents(), *bundle.kinds]))
    if not missing:
        check_statements(governance, section, recorded=statements, kinds=kinds)
        return ""
    check_given(governance, section, recorded=statements)
    # What a document lacks that is not installed here is known from the record alone.
    elsewhere = {f"statements.{key}" for key in statements if key not in mandatory_statements(kinds)}
    if other := sorted((set(missing) - elsewhere) ^ set(not_stated(governance, kinds))):
        raise DocumentError(f"{FOLDER}/{MANIFEST}: not_stated is not what {USECASE} leaves open: {', '.join(other)}")
    return f"a draft: {len(missing)} statements and answers are not stated"


def _table(artifacts: Artifacts) -> int:
    """Check that the documents describe the table that the model was trained on."""
    table = artifacts.document("tuning.json").get("table") if "tuning.json" in artifacts else None
    if table and table["sha256"] != artifacts.value("model/manifest.json", "/data_digest"):
        raise DocumentError("tuning.json: describes another table than the model was trained on (model/manifest.json)")
    return int(table is not None)


def check_kinds(bundle: Bundle) -> tuple[int, str]:
    """Count the documents whose kind is installed, and name the packages that the others need."""
    installed = [document.file for document in bundle.kinds]
    absent = [f"{name} needs {each['package']}" for name, each in bundle.documents.items() if name not in installed]
    if absent:
        return 0, f"not installed here, so their facts are not derived again: {', '.join(absent)}"
    return len(installed), ""


def check_references(bundle: Bundle) -> tuple[int, str]:
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


def check_page(bundle: Bundle) -> tuple[int, str]:
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


def check_bills(bundle: Bundle) -> tuple[int, str]:
    """Check that the bills of materials follow their schema."""
    for name in (MODEL_CARD, MATERIALS):
        cyclonedx.validate(bundle.artifacts[f"{FOLDER}/{name}"].data.decode(), f"{FOLDER}/{name}")
    return 2, ""


def check_run_record(bundle: Bundle) -> tuple[int, str]:
    """Check every file that run.json lists, reports and manifests included, and that it is about this model."""
    if bundle.run is None or not (bundle.run / RECORD).is_file():
        return 0, f"no {RECORD}: these documents are not in a run's directory"
    record, model = read_json(bundle.run / RECORD), bundle.artifacts.document("model/manifest.json")
    # Not the revision: a training that is found in the cache may be one of an earlier revision.
    said = {"use_case": model["use_case"], "use_case_digest": bundle.artifacts[USECASE].sha256}
    for key, value in said.items():
        if key in record and record[key] != value:
            raise DocumentError(f"{RECORD}#/{key}: states {record[key]!r}; the documents are of {value!r}")
    for name, entry in record["artifacts"].items():
        if not (bundle.run / name).is_file():
            raise DocumentError(f"{name}: missing; {RECORD} lists it")
        digest = sha256_file(bundle.run / name)
        if digest != entry["sha256"]:
            raise DocumentError(
                f"{name}: altered; its sha256 is {digest[:12]}…, not {entry['sha256'][:12]}… ({RECORD})"
            )
    return len(record["artifacts"]), ""


def check_coverage(bundle: Bundle) -> tuple[int, str]:
    """Name the files of the run's directory that nothing covers; with a pinned signer they are an error.

    Covered is what the documents' manifest or run.json lists, or what the run's signature signs.

    Returns:
        The number of files that are covered.
    """
    if bundle.run is None or (bundle.run / signing.RUN_SIGNATURE).is_file():
        return sum(1 for path in (bundle.run or bundle.folder).rglob("*") if path.is_file()), ""
    model = bundle.artifacts.document("model/manifest.json")
    # The signed model names the tables that it was made of.
    digests = {model.get("data_digest"), model.get("features_digest")}
    bare = [name for name in bundle.others() if sha256_file(bundle.run / name) not in digests]
    if bare and bundle.trust is not None:
        raise DocumentError(
            f"{bare[0]}: nothing signed covers it, as there is no {signing.RUN_SIGNATURE}, "
            "which a run fetched from a cluster never has; "
            f"verify the documents alone: {bundle.run.name}/{FOLDER}"
        )
    listed = read_json(bundle.run / RECORD)["artifacts"] if (bundle.run / RECORD).is_file() else {}
    unlisted = [name for name in bare if name not in listed]
    note = f"not covered: {', '.join(unlisted)}" if unlisted else ""
    return sum(1 for path in bundle.run.rglob("*") if path.is_file()) - len(unlisted), note


def check_tables(bundle: Bundle) -> tuple[int, str]:
    """Check that the tables at hand are those that the model was made of."""
    model, count = bundle.artifacts.document("model/manifest.json"), 0
    for path, key in ((bundle.data, "data_digest"), (bundle.features, "features_digest")):
        if path is not None and key in model:
            if sha256_file(path) != model[key]:
                raise DocumentError(f"{path.name}: altered; not the table that the model was made of ({key})")
            count += 1
    return count, "" if count else "the table is not at hand: give --data"
