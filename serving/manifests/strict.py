"""A strict offline check of KServe's objects, made from the typed models that its Python package ships.

The package's own deserialiser drops what it does not know; a misspelt field would reach the cluster and do nothing.
"""

import re
from typing import Any

from components.common.errors import DeploymentError

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
#: Names under which KServe's models mean one of the Kubernetes client's.
_RENAMED = {"K8sIoApiAppsV1DeploymentStrategy": "V1DeploymentStrategy"}
_KINDS = {"InferenceService": "V1beta1InferenceService", "ServingRuntime": "V1alpha1ServingRuntime"}


def check(manifest: dict[str, Any]) -> None:
    """Raise if a ServingRuntime or InferenceService has a field or a type that KServe's models do not have.

    Raises:
        DeploymentError: naming the field by its path and what would be right.
    """
    kind = manifest.get("kind")
    if kind not in _KINDS:
        raise DeploymentError(f"kind: {kind!r} is none of KServe's; known: {', '.join(sorted(_KINDS))}")
    _check(manifest, _KINDS[kind], kind)


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
    for name in _required(model):
        if name not in value:
            raise DeploymentError(f"{place}.{name}: is missing; {kind} requires it")


def _required(model: Any) -> list[str]:
    """Return the fields that a model's constructor refuses to go without."""
    try:
        model()
    except (ValueError, TypeError) as error:
        named = re.search(r"`(\w+)`", str(error))
        return [model.attribute_map[named[1]]] if named else []
    return []


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
