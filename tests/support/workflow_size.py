"""The size of the Argo Workflow that Kubeflow makes of a compiled pipeline, by the API server's own rules.

Argo keeps a Workflow in one object of at most 1 MiB. It holds the compiled pipeline once, and for every task a record
(a node) for each template that the task passes through, with that template's inputs and outputs. The driver of a task
gets its component, its container and its platform settings; it hands on a patch of the pod, which holds the command
and the executor's input with the value of every parameter. The patch is an output of the driver, and an input of the
executor's two templates. Kubeflow 2.17 sets a retry strategy on every template, so that there are two nodes for each.
"""

import base64
import gzip
import json
import random
from dataclasses import dataclass
from typing import Any

import yaml

#: Templates, driver commands and metadata that are the same for every pipeline, in bytes (a Workflow of 14 tasks).
_FIXED = 40_000
#: Name, phase, times, pod and messages of a node.
_NODE = {"id": "x" * 70, "name": "x" * 110, "displayName": "x" * 40, "times": "x" * 120, "resources": "x" * 60}
_NODE |= {"templateScope": "x" * 50, "boundaryID": "x" * 70, "hostNodeName": "x" * 30, "progress": "1/1"}
#: Bytes of a run's address of an artifact, with its id, type and metadata.
_ARTIFACT = {"name": "9" * 6, "uri": "s3://bucket/" + "x" * 110, "metadata": {"digests": "x" * 200}}
LIMIT = 1 << 20


@dataclass(frozen=True)
class WorkflowSize:
    """Bytes of a Workflow at the end of a run, and of the part of it that every task's status has.

    Attributes:
        raw: The object as it is, which is what Argo stores up to its limit.
        compressed: The object with its nodes compressed, which Argo stores above it.
        parameters: Bytes of each task's parameters by task.
    """

    raw: int
    compressed: int
    parameters: dict[str, int]


def workflow_size(package: bytes, retries: bool = True) -> WorkflowSize:
    """Return the size of the Workflow of a compiled pipeline; `retries` as set by Kubeflow 2.17's defaults."""
    spec, platform = yaml.safe_load_all(package)
    nodes: list[str] = []
    parameters: dict[str, int] = {}
    graphs = [spec["root"], *(each for each in spec["components"].values() if "dag" in each)]
    for graph in graphs:
        for name, task in graph["dag"]["tasks"].items():
            component = spec["components"][task["componentRef"]["name"]]
            nodes += _nodes(spec, platform, task, component, retries)
            if "executorLabel" in component:
                parameters[name] = len(json.dumps(_values(spec, graph, task, component)))
    # Argo sorts the nodes by their ids, which are hashes: copies of one text are seldom neighbours.
    random.Random(7).shuffle(nodes)
    static = len(json.dumps(spec)) + len(json.dumps(platform)) + _FIXED
    # The status is compressed as one text and stored in base64; gzip finds repetitions within 32 kB.
    packed = base64.b64encode(gzip.compress("".join(nodes).encode()))
    return WorkflowSize(static + sum(map(len, nodes)), static + len(packed), parameters)


def _nodes(spec: Any, platform: Any, task: Any, component: Any, retries: bool) -> list[str]:
    copies = 2 if retries else 1
    if "executorLabel" not in component:
        return [_node({"component": json.dumps(component), "task": json.dumps(task)}, {})] * copies * 2
    label = component["executorLabel"]
    container = spec["deploymentSpec"]["executors"][label]["container"]
    settings = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].get(label, {})
    driver = {
        "component": json.dumps(component),
        "task": json.dumps(task),
        "container": json.dumps(container),
        "kubernetes-config": json.dumps(settings),
    }
    patch = json.dumps({"containers": [_container(container, component, _executor_input(spec, task, component))]})
    inner = _node({"pod-spec-patch": patch}, {})
    return [_node(driver, {"pod-spec-patch": patch})] * copies + [inner] * copies + [inner] * copies


def _node(inputs: dict[str, str], outputs: dict[str, str]) -> str:
    return json.dumps({**_NODE, "inputs": inputs, "outputs": outputs})


def _container(container: Any, component: Any, executor_input: str) -> dict[str, Any]:
    launcher = ["--executor_input", executor_input, "--component_spec", json.dumps(component), "--pod_name", "x" * 60]
    return {"name": "main", **container, "command": ["launcher", *launcher, *container["command"], *container["args"]]}


def _executor_input(spec: Any, task: Any, component: Any) -> str:
    inputs, outputs = component.get("inputDefinitions", {}), component.get("outputDefinitions", {})
    return json.dumps(
        {
            "inputs": {
                "parameterValues": _values(spec, spec["root"], task, component),
                "artifacts": dict.fromkeys(inputs.get("artifacts", {}), _ARTIFACT),
            },
            "outputs": {"artifacts": dict.fromkeys(outputs.get("artifacts", {}), _ARTIFACT), "file": "x" * 60},
        }
    )


def _values(spec: Any, graph: Any, task: Any, component: Any) -> dict[str, Any]:
    """Return the value of each parameter of a task: its constant, or the default of the pipeline's parameter."""
    defaults = {
        name: parameter.get("defaultValue")
        for name, parameter in spec["root"].get("inputDefinitions", {}).get("parameters", {}).items()
    }
    values = {}
    for name, given in task.get("inputs", {}).get("parameters", {}).items():
        # Inside a condition the pipeline's parameters have a prefix.
        outer = str(given.get("componentInputParameter", "")).removeprefix("pipelinechannel--")
        values[name] = given["runtimeValue"]["constant"] if "runtimeValue" in given else defaults.get(outer, "x" * 64)
    return values
