"""CycloneDX 1.6 (ECMA-424) documents: the model card as JSON, and the model's bill of materials.

The Python library has no class for `modelCard`. The documents are therefore written as JSON and validated against the
strict schema that the library ships.
"""

import json
import uuid
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from almanac.core.errors import DocumentError
from almanac.usecase.address import UNSTATED
from governance.documents.artifacts import Artifacts
from governance.documents.layout import COMPUTED, FOLDER, USECASE
from governance.documents.references import References

_SCHEMAS = "http://cyclonedx.org/schema/"
# Another value would change the serial number of every document.
_NAMESPACE = uuid.UUID("5b0c6f0e-8a4e-5f6b-9a39-2d2f0a7d5c11")
_TREES = "gradient-boosted trees"
_UNITS = "layers of units (kernels or perceptrons), added to gradient-boosted trees where there are any"
#: Families of Almanac's own model bodies; an extension's body is named by its kind.
_FAMILIES = {
    "lightgbm": _TREES,
    "sklearn": _TREES,
    "ets": "exponential smoothing",
    "arima": "autoregressive integrated moving average",
    "theta": "Theta method",
    "additive_regression": "regression on trend and season",
    "units": _UNITS,
    "linear": "linear regression",
}
_METRICS = ("rmse", "mae", "r2", "bias", "log_loss", "brier", "auc")


def model_card(references: References) -> dict[str, Any]:
    """Return modelcard.cdx.json, in which metrics are marked references."""
    artifacts = references.artifacts
    component = _model(artifacts)
    component["modelCard"] = {
        "bom-ref": f"{component['bom-ref']}-card",
        "modelParameters": _parameters(artifacts),
        "quantitativeAnalysis": {"performanceMetrics": _performance(references)},
        "considerations": _considerations(references),
    }
    return _bom(artifacts, "card", component, _datasets(artifacts))


def bill_of_materials(artifacts: Artifacts) -> dict[str, Any]:
    """Return mlbom.cdx.json: the model, a model for each target, data, libraries and their dependencies."""
    model, manifest = _model(artifacts), artifacts.document("model/manifest.json")
    targets = [_target(artifacts, name) for name in manifest["targets"]]
    data = _datasets(artifacts)
    libraries = [
        {"type": "library", "bom-ref": f"pkg:pypi/{name}@{version}", "name": name, "version": version,
         "purl": f"pkg:pypi/{name}@{version}"}
        for name, version in manifest["libraries"].items() if name != "python"
    ]  # fmt: skip
    bom = _bom(artifacts, "materials", model, [*targets, *data, *libraries])
    parts = [part["bom-ref"] for part in targets]
    used = [part["bom-ref"] for part in (*data, *libraries)]
    bom["dependencies"] = [
        {"ref": model["bom-ref"], "dependsOn": parts},
        *({"ref": part, "dependsOn": used} for part in parts),
    ]
    return bom


def validate(text: str, name: str) -> None:
    """Check a document against the strict schema of CycloneDX 1.6.

    Raises:
        DocumentError: the first fault, with its location.
    """
    document = json.loads(text)
    for error in _validator()(document):
        location = "/".join(str(part) for part in error.instance_path)
        raise DocumentError(f"{name}: /{location}: {error.message}"[:600])


@cache
def _validator() -> Callable[[Any], Iterable[Any]]:
    """Return the validator of the library's schema files; jsonschema, which the library uses, is slow to import."""
    import cyclonedx.schema
    import jsonschema_rs

    folder = Path(cyclonedx.schema.__file__).parent / "_res"
    names = ("spdx", "cryptography-defs", "jsf-0.82")
    contents = {f"{name}.SNAPSHOT.schema.json": _read(folder / f"{name}.SNAPSHOT.schema.json") for name in names}
    schema = _read(folder / "bom-1.6.SNAPSHOT.schema.json")
    resources = [(f"{_SCHEMAS}{name}", content) for name, content in contents.items()]
    registry = jsonschema_rs.Registry(resources, draft=jsonschema_rs.Draft7)
    return jsonschema_rs.Draft7Validator(schema, registry=registry, validate_formats=True).iter_errors


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _bom(artifacts: Artifacts, kind: str, component: dict[str, Any], others: list[dict[str, Any]]) -> dict[str, Any]:
    digest = artifacts["model/manifest.json"].sha256
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        # Derived from the model's digest, so that a document written again keeps its number.
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{kind}:{digest}')}",
        "version": 1,
        "metadata": {"component": component},
        "components": others,
    }


def _model(artifacts: Artifacts) -> dict[str, Any]:
    usecase, manifest = artifacts.document(USECASE), artifacts["model/manifest.json"]
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model-{manifest.sha256}",
        "name": usecase["name"],
        "version": manifest.sha256[:12],
        "description": usecase["description"],
        "publisher": usecase["governance"]["owner"],
        "hashes": [{"alg": "SHA-256", "content": manifest.sha256}],
        "properties": [
            {"name": f"almanac:{key}", "value": str(manifest.document[key])}
            for key in ("use_case_digest", "data_digest", "git_revision")
        ],
    }


def _target(artifacts: Artifacts, name: str) -> dict[str, Any]:
    uri = f"model/{name}/manifest.json"
    files = artifacts.value(uri, "/files")
    return {
        "type": "machine-learning-model",
        "bom-ref": f"target-{name}-{artifacts[uri].sha256}",
        "name": name,
        "version": artifacts[uri].sha256[:12],
        "hashes": [{"alg": "SHA-256", "content": artifacts[uri].sha256}],
        "components": [
            {"type": "file", "name": f"{name}/{file}", "hashes": [{"alg": "SHA-256", "content": entry["sha256"]}]}
            for file, entry in files.items()
        ],
    }


def _datasets(artifacts: Artifacts) -> list[dict[str, Any]]:
    return [
        {
            "type": "data",
            "bom-ref": f"data-{source['name']}",
            "name": source["name"],
            "description": source["title"],
            "hashes": [{"alg": "SHA-256", "content": source["sha256"]}],
            "licenses": [{"license": {"name": source["licence"]}}],
            "data": [{"type": "dataset", "name": source["title"], "contents": _contents(source)}],
        }
        for source in artifacts.value("lineage.json", "/sources")
    ]


def _contents(source: dict[str, Any]) -> dict[str, Any]:
    properties = [{"name": "location", "value": str(source["location"])}]
    return {"properties": properties} | ({"url": source["url"]} if source.get("url") else {})


def _parameters(artifacts: Artifacts) -> dict[str, Any]:
    usecase = artifacts.document(USECASE)
    classes = any(target.get("task") == "classification" for target in usecase["targets"])
    models = sorted({str(target["model"]) for _, target in artifacts.targets()})
    return {
        "approach": {"type": "supervised"},
        "task": "classification and forecasting" if classes else "forecasting",
        "architectureFamily": ", ".join(sorted(_families(artifacts))),
        "modelArchitecture": ", ".join(models),
        "datasets": [{"ref": part["bom-ref"]} for part in _datasets(artifacts)],
        "inputs": [{"format": f"{name}: {column['type']}"} for name, column in usecase["columns"].items()],
        "outputs": [{"format": _output(target, bool(usecase.get("events")))} for target in usecase["targets"]],
    }


def _output(target: dict[str, Any], event: bool) -> str:
    kind = "probability" if target.get("task") == "classification" else "number"
    when = f"of the event, known {target['horizon']} after it" if event else f"{target['horizon']} ahead"
    return f"{target['name']}: {kind}, {when}"


def _families(artifacts: Artifacts) -> set[str]:
    kinds = {str(artifacts.value(f"model/{name}/manifest.json", "/kind")) for name, _ in artifacts.targets()}
    return {_FAMILIES.get(kind, kind) for kind in kinds}


def _performance(references: References) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for name, target in references.artifacts.targets():
        metrics = references.ref("metrics.json")["targets"][name]
        entries += [
            _metric(references, metrics, f"{name} {key}", key) for key in _METRICS if target.get(key) is not None
        ]
        for group, parts in target.get("slices", {}).items():
            for value, part in parts.items():
                if part.get("rmse") is not None:
                    entry = _metric(references, metrics["slices"][group][value], f"{name} rmse", "rmse")
                    entries.append(entry | {"slice": f"{group}: {value}"})
    return entries


def _metric(references: References, metrics: Any, kind: str, key: str) -> dict[str, Any]:
    entry = {"type": kind, "value": references.quote(metrics[key], "n4")}
    if metrics["ci"][key]:
        low, high = (references.quote(metrics["ci"][key][side], "n4") for side in (0, 1))
        entry["confidenceInterval"] = {"lowerBound": low, "upperBound": high}  # type: ignore[assignment]
    return entry


def _considerations(references: References) -> dict[str, Any]:
    statements = references.ref(USECASE)["governance"]["statements"]
    missing = references.artifacts.value(f"{FOLDER}/{COMPUTED}", "/unstated")

    def say(key: str) -> str:
        if key in missing:
            return UNSTATED
        return references.quote(statements[key]["text"], "plain")

    return {
        "users": [say("intended_users")],
        "useCases": [say("intended_use")],
        "technicalLimitations": [say("caveats"), say("out_of_scope_uses")],
        "performanceTradeoffs": [say("design_choices")],
        "ethicalConsiderations": [{"name": say("ethical_considerations"), "mitigationStrategy": say("risk_controls")}],
    }


def dump(document: dict[str, Any]) -> str:
    """Return a document as indented JSON."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
