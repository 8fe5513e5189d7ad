"""Write the Helm chart: the objects of a deployment, with the chart's values in the places where versions differ."""

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from almanac.core.files import write_text
from almanac.core.image import VERSION as RELEASE
from serving.deploy.helm_values import VALUES, environment_values
from serving.deploy.kustomize.layout import PLACEHOLDER
from serving.deploy.manifests import DIGEST, VERSION, Deployment, render, render_edges

CHART = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "almanac"
ENVIRONMENTS = ("dev", "staging", "prod")
#: A value of the chart within an object, until the object is text.
_MARK = re.compile(r"'?@@(.*?)@@'?")
_CHART = {
    "apiVersion": "v2",
    "name": "almanac",
    "description": "A forecasting model of Almanac as a KServe InferenceService",
    "type": "application",
    "version": RELEASE,
    "appVersion": RELEASE,
    "kubeVersion": ">=1.30.0-0",
}


def files() -> dict[str, str]:
    """Return the files of the chart by name, deterministic by the objects."""
    found = {"Chart.yaml": _yaml(_CHART), "values.yaml": VALUES}
    found |= {f"values-{name}.yaml": _yaml(environment_values(name)) for name in ENVIRONMENTS}
    found |= {f"templates/{kind.lower()}.yaml": text for kind, text in _templates().items()}
    return found


def write(out: Path = CHART) -> list[Path]:
    """Write the chart to a directory and return its files."""
    texts = files()
    for name, text in texts.items():
        write_text(out / name, text)
    return [out / name for name in texts]


def values_of(deployment: Deployment) -> dict[str, Any]:
    """Return the chart's values for a version."""
    return {
        "name": deployment.name,
        "version": str(deployment.version),
        "manifestSha256": deployment.digest,
        "runtime": deployment.runtime,
        "image": deployment.image,
        "model": "/mnt/models" if deployment.mounted else deployment.storage_uri,
        "storageUri": deployment.storage_uri,
        "loading": "mounted" if deployment.mounted else "server",
        "storageSecretName": "almanac-store" if deployment.initialized else "",
    }


def _templates() -> dict[str, str]:
    # Each way of loading leaves something out of the objects; the chart has the places of all.
    loaded = replace(PLACEHOLDER, storage_uri="s3://models", loading="initializer")
    objects = {item["kind"]: item for item in render(loaded) + render_edges(loaded)}
    by_server = next(item for item in render(replace(loaded, loading="server")) if item["kind"] == "InferenceService")
    objects["InferenceService"]["spec"]["predictor"]["initContainers"] = by_server["spec"]["predictor"][
        "initContainers"
    ]
    return {kind: _CHANGES[kind](copy.deepcopy(item)) for kind, item in objects.items()}


def _value(path: str) -> str:
    return f"@@{{{{ toJson .Values.{path} }}}}@@"


def _text(item: dict[str, Any]) -> str:
    metadata = item["metadata"]
    metadata["namespace"] = "@@{{ .Release.Namespace }}@@"
    labels = metadata["labels"]
    if "app.kubernetes.io/name" in labels:
        metadata["name"] = _value("name")
        labels |= {"app.kubernetes.io/name": _value("name"), "app.kubernetes.io/version": _value("version")}
    text = _MARK.sub(r"\1", _yaml(item))
    # The last labels are the user's, so that an environment or a Prometheus can select by them.
    more = "\\g<0>    {{- with .Values.labels }}\n    {{- toYaml . | nindent 4 }}\n    {{- end }}\n"
    return re.sub(r"(?m)^    app\.kubernetes\.io/part-of: almanac\n", more, text, count=1)


def _if(condition: str, text: str) -> str:
    return f"{{{{- if {condition} }}}}\n{text}{{{{- end }}}}\n"


def _selector() -> dict[str, Any]:
    return {"matchLabels": {"serving.kserve.io/inferenceservice": _value("name")}}


def _runtime(item: dict[str, Any]) -> str:
    container = item["spec"]["containers"][0]
    container |= {"image": _value("image"), "resources": _value("resources")}
    # KServe fills in the service's name, in the same notation as Helm.
    text = _text(item).replace("{{.Name}}", '{{ "{{.Name}}" }}')
    return text.replace("  name: {{ toJson .Values.name }}\n", "  name: {{ toJson .Values.runtime }}\n", 1)


def _service(item: dict[str, Any]) -> str:
    annotations, predictor = item["metadata"]["annotations"], item["spec"]["predictor"]
    annotations |= {
        VERSION: _value("version"),
        DIGEST: _value("manifestSha256"),
        "serving.kserve.io/storageSecretName": _value("storageSecretName"),
    }
    scaling = {"minReplicas": "minReplicas", "maxReplicas": "maxReplicas", "scaleTarget": "scaleTarget"}
    predictor |= {name: _value(value) for name, value in scaling.items()}
    predictor |= {"topologySpreadConstraints": "@@SPREAD@@", "priorityClassName": _value("priorityClassName")}
    predictor["initContainers"][0]["image"] = _value("image")
    # Helm's own notation marks where the block begins and ends.
    predictor["initContainers"] = (
        "@@" + json.dumps(predictor["initContainers"]).replace('"@@', "").replace('@@"', "") + "@@"
    )
    model = predictor["model"]
    model |= {"runtime": _value("runtime"), "storageUri": _value("storageUri")}
    named = {"ALMANAC_MODEL": "model", "ALMANAC_MODEL_VERSION": "version"}
    for variable in model["env"]:
        variable["value"] = _value(named[variable["name"]])
    text = _text(item).replace(" SPREAD\n", f"{_SPREAD}\n")
    text = _optional(text, "storageSecretName", "storageSecretName", "    serving.kserve.io/")
    text = re.sub(
        r"(?m)^    initContainers: .*\n", r'    {{- if eq .Values.loading "server" }}\n\g<0>    {{- end }}\n', text
    )
    text = _optional(text, "priorityClassName", "priorityClassName", "    ")
    # By KEDA the measure is one of its own, so that KServe's for the pods' processors is left out.
    text = text.replace(
        "    serving.kserve.io/deploymentMode: Standard\n",
        "    serving.kserve.io/deploymentMode: Standard\n"
        "    {{- if .Values.keda.enabled }}\n    serving.kserve.io/autoscalerClass: keda\n    {{- end }}\n",
    )
    cpu = "    scaleMetric: cpu\n    scaleTarget: {{ toJson .Values.scaleTarget }}\n"
    keda = (
        "    {{- if .Values.keda.enabled }}\n    autoScaling: {{ toJson .Values.keda.autoScaling }}\n    {{- else }}\n"
    )
    return text.replace(cpu, f"{keda}{cpu}    {{{{- end }}}}\n")


#: The selector is that of the service, whose name a list in the values cannot know.
_SPREAD = (
    "\n    {{- range .Values.topologySpread }}\n    - maxSkew: {{ .maxSkew }}\n      topologyKey: {{ .topologyKey }}\n"
    "      whenUnsatisfiable: {{ .whenUnsatisfiable }}\n      labelSelector:\n        matchLabels:\n"
    "          serving.kserve.io/inferenceservice: {{ toJson $.Values.name }}\n    {{- end }}"
)


def _optional(text: str, field: str, value: str, before: str) -> str:
    """Leave a line out where the value is empty."""
    line = f"{before}{field}: {{{{ toJson .Values.{value} }}}}\n"
    indent = " " * (len(before) - len(before.lstrip()))
    return text.replace(line, f"{indent}{{{{- if .Values.{value} }}}}\n{line}{indent}{{{{- end }}}}\n")


def _budget(item: dict[str, Any]) -> str:
    item["spec"]["selector"] = _selector()
    return _text(item)


def _policy(item: dict[str, Any]) -> str:
    item["spec"]["podSelector"] = _selector()
    item["spec"]["ingress"][0]["from"] = _value("networkPolicy.from")
    return _optional(_text(item), "from", "networkPolicy.from", "    ")


def _monitor(item: dict[str, Any]) -> str:
    item["spec"]["selector"] = _selector()
    item["spec"]["endpoints"][0]["interval"] = _value("serviceMonitor.interval")
    text = _text(item)
    last = "    {{- toYaml . | nindent 4 }}\n    {{- end }}\n"
    more = "    {{- with .Values.serviceMonitor.labels }}\n" + last
    return _if(".Values.serviceMonitor.enabled", text.replace(last, last + more, 1))


def _ingress(item: dict[str, Any]) -> str:
    item["metadata"]["annotations"] = _value("ingress.annotations")
    spec = item["spec"]
    spec["ingressClassName"] = _value("ingress.className")
    spec["tls"] = [{"hosts": [_value("ingress.host")], "secretName": _value("ingress.tlsSecretName")}]
    spec["rules"][0]["host"] = _value("ingress.host")
    spec["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = "@@{{ .Values.name }}-predictor@@"
    return _if(".Values.ingress.enabled", _text(item))


def _route(item: dict[str, Any]) -> str:
    item["spec"] |= {"parentRefs": _value("gateway.parentRefs"), "hostnames": _value("gateway.hostnames")}
    item["spec"]["rules"][0]["backendRefs"][0]["name"] = "@@{{ .Values.name }}-predictor@@"
    return _if(".Values.gateway.enabled", _text(item))


def _external_secret(item: dict[str, Any]) -> str:
    item["spec"]["refreshInterval"] = _value("externalSecrets.refreshInterval")
    item["spec"]["secretStoreRef"] = _value("externalSecrets.secretStoreRef")
    item["metadata"]["name"] = item["spec"]["target"]["name"] = "@@{{ $secret }}@@"
    item["spec"]["dataFrom"][0]["extract"]["key"] = "@@{{ toJson $key }}@@"
    each = "{{- range $secret, $key := .Values.externalSecrets.secrets }}\n---\n"
    text = _text(item).replace(" .Values.", " $.Values.").replace(" .Release.", " $.Release.")
    return _if(".Values.externalSecrets.enabled", f"{each}{text}{{{{- end }}}}\n")


def _claim(item: dict[str, Any]) -> str:
    item["spec"]["resources"]["requests"]["storage"] = _value("registryClaim.storage")
    item["spec"]["storageClassName"] = _value("registryClaim.storageClassName")
    text = _optional(_text(item), "storageClassName", "registryClaim.storageClassName", "  ")
    return _if(".Values.registryClaim.create", text)


_CHANGES = {
    "ServingRuntime": _runtime,
    "InferenceService": _service,
    "PodDisruptionBudget": _budget,
    "NetworkPolicy": _policy,
    "ServiceMonitor": _monitor,
    "Ingress": _ingress,
    "HTTPRoute": _route,
    "ExternalSecret": _external_secret,
    "PersistentVolumeClaim": _claim,
}


def _yaml(item: Any) -> str:
    # JSON keeps mappings apart that YAML would write as anchors of each other.
    text: str = yaml.safe_dump(json.loads(json.dumps(item)), sort_keys=False, width=1000)
    return text
