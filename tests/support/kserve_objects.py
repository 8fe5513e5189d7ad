"""A strict offline check of KServe's objects, made from the typed models that its Python package ships.

The package's own deserialiser drops what it does not know; a misspelt field would reach the cluster and do nothing.
"""

import inspect
import re
from functools import cache
from typing import Any

from almanac.core.errors import DeploymentError

_PLAIN: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float": (int, float),
    "datetime": (str,),
    "object": (object,),
    "ResourceQuantity": (str, int, float),
    "IntOrString": (str, int),
}
#: Names by which KServe's models refer to the Kubernetes client's.
_RENAMED = {"K8sIoApiAppsV1DeploymentStrategy": "V1DeploymentStrategy"}
_KINDS = {"InferenceService": "V1beta1InferenceService", "ServingRuntime": "V1alpha1ServingRuntime"}
_OBJECT = ("apiVersion", "kind", "metadata", "spec")
#: Fields that the models leave optional, but KServe or the API server require.
_STATED: dict[str, tuple[str, ...]] = {
    "V1beta1InferenceService": _OBJECT,
    "V1alpha1ServingRuntime": _OBJECT,
    "V1beta1PredictorSpec": ("model",),
    "V1beta1ModelSpec": ("runtime",),  # our runtime does not offer itself for a format
    "V1SecretEnvSource": ("name",),
    "V1SecretVolumeSource": ("secretName",),
}
#: Fields of which one must be there.
_ONE_OF: dict[str, tuple[str, ...]] = {
    "V1EnvFromSource": ("secretRef", "configMapRef"),
    "V1LifecycleHandler": ("exec", "httpGet", "sleep", "tcpSocket"),
    "V1Probe": ("exec", "grpc", "httpGet", "tcpSocket"),
}
#: Required by a model that has it from Kubernetes' container, whose name KServe gives.
_GIVEN = {("V1beta1ModelSpec", "name")}


def check(manifest: dict[str, Any]) -> None:
    """Raise if a ServingRuntime or InferenceService has an unknown field, a wrong type, or lacks a field.

    Raises:
        DeploymentError: naming the field by its path and what would be right.
    """
    kind = manifest.get("kind")
    if kind not in _KINDS:
        raise DeploymentError(f"kind: {kind!r} is none of KServe's; known: {', '.join(sorted(_KINDS))}")
    _check(manifest, _KINDS[kind], kind)
    for name in ("name", "namespace"):
        if name not in manifest["metadata"]:
            raise DeploymentError(f"{kind}.metadata.{name}: is missing; every object says where it stands")


def _check(value: Any, kind: str, place: str) -> None:
    if kind in _PLAIN:
        if not isinstance(value, _PLAIN[kind]) or (isinstance(value, bool) and kind not in ("bool", "object")):
            raise DeploymentError(f"{place}: {value!r} is no {kind}")
    elif match := re.fullmatch(r"list\[(.*)\]", kind):
        for index, item in enumerate(_of(list, value, place)):
            _check(item, match[1], f"{place}.{index}")
    elif match := re.fullmatch(r"dict\(str, (.*)\)", kind):
        for key, item in _of(dict, value, place).items():
            _check(item, match[1], f"{place}.{key}")
    else:
        _check_model(_of(dict, value, place), kind, place)


def _check_model(value: dict[str, Any], kind: str, place: str) -> None:
    model = _model(kind)
    if model is None:
        return
    fields = {model.attribute_map[name]: type_name for name, type_name in model.openapi_types.items()}
    for key, item in value.items():
        if key not in fields:
            raise DeploymentError(f"{place}.{key}: {kind} has no such field; known: {', '.join(sorted(fields))}")
        _check(item, fields[key], f"{place}.{key}")
    for name in _required(kind):
        if name not in value:
            raise DeploymentError(f"{place}.{name}: is missing; {kind} requires it")
    if (choice := _ONE_OF.get(kind)) and not value.keys() & set(choice):
        raise DeploymentError(f"{place}: is missing one of {', '.join(choice)}; {kind} requires one")


@cache
def _required(kind: str) -> tuple[str, ...]:
    """Return the fields that a model must have: its setters refuse None, or its constructor makes up for them.

    The generator gives a field that Go always writes out an empty default in place of None.
    """
    model: Any = _model(kind)
    defaults = inspect.signature(model.__init__).parameters
    refused = [name for name in model.openapi_types if _refuses_none(model, name)]
    made_up = [name for name in model.openapi_types if defaults[name].default is not None]
    found = [model.attribute_map[name] for name in dict.fromkeys(refused + made_up)]
    stated = [name for name in _STATED.get(kind, ()) if name not in found]
    return tuple(name for name in found + stated if (kind, name) not in _GIVEN)


def _refuses_none(model: Any, name: str) -> bool:
    """Return whether a model's setter refuses None, asked field by field: the constructor names the first alone."""
    from kubernetes.client import Configuration

    empty = object.__new__(model)
    empty.local_vars_configuration = Configuration()
    try:
        setattr(empty, name, None)
    except ValueError:
        return True
    return False


def _model(kind: str) -> Any | None:
    """Return the model of that name: KServe's, or the Kubernetes client's; None where this client has none yet."""
    import kserve.models
    import kubernetes.client

    name = _RENAMED.get(kind, kind)
    return getattr(kserve.models, name, None) or getattr(kubernetes.client, name, None)


def _of(kind: type, value: Any, place: str) -> Any:
    if not isinstance(value, kind):
        raise DeploymentError(f"{place}: {value!r} is no {kind.__name__}")
    return value
