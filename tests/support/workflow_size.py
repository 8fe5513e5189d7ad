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

#: Templates, driver commands and metadata that are the same for every pipeline, in bytes.
_FIXED = 10_000
#: What a task adds to the template of its graph, and a node to the fields that Kubernetes records as Argo's.
_TEMPLATE, _MANAGED = 1_450, 430
#: Name, phase, times, pod and messages of a node.
_NODE = {"id": "x" * 70, "name": "x" * 110, "displayName": "x" * 40, "times": "x" * 120, "resources": "x" * 60}
_NODE |= {"templateScope": "x" * 50, "boundaryID": "x" * 70, "hostNodeName": "x" * 30, "progress": "1/1"}
_URI = "minio://bucket/v2/artifacts/" + "x" * 128
#: What the driver tells of the store of each input.
_SESSION = {"accessKeyKey": "x" * 9, "disableSSL": "true", "endpoint": "x" * 22, "forcePathStyle": "true"}
_SESSION |= {"fromEnv": "false", "maxRetries": "5", "region": "us-east-1", "secretKeyKey": "x" * 9}
_SESSION |= {"secretName": "mlpipeline-minio-artifact"}
_STORE = json.dumps({"Provider": "minio", "Params": _SESSION}, separators=(",", ":"))
_METADATA = {"display_name": "x" * 11, "store_session_info": _STORE, "use_case": "x" * 11, "use_case_digest": "9" * 64}
_INPUT = {"name": "999", "type": {"instanceSchema": ""}, "uri": _URI, "metadata": _METADATA}
_OUTPUT = {"name": "x" * 11, "type": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}, "uri": _URI}
#: Arguments of the launcher beside the executor's input and the component.
_LAUNCHER = ["/kfp-launcher/launch", "--pipeline_name", "x" * 20, "--run_id", "x" * 36, "--execution_id", "999"]
_LAUNCHER += ["--pod_name", "$(KFP_POD_NAME)", "--pod_uid", "$(KFP_POD_UID)", "--publish_logs", "true"] * 2
_LAUNCHER += ["--ml_pipeline_server_address", "x" * 38, "--mlmd_server_address", "x" * 48, "--mlmd_server_port", "8080"]
LIMIT = 1 << 20


@dataclass(frozen=True)
class WorkflowSize:
    """Bytes of a Workflow at the end of a run, and of the part of it that every task's status has.

    Attributes:
        raw: The object as it is, which is what Argo stores up to its limit.
        compressed: The object with its nodes compressed, which Argo stores above it.
        inputs: Bytes of the copies of all tasks' inputs and outputs, which are what a use case could make grow.
        parameters: Bytes of each task's parameters by task.
    """

    raw: int
    compressed: int
    inputs: int
    parameters: dict[str, int]


def workflow_size(package: bytes, retries: bool = True) -> WorkflowSize:
    """Return the size of the Workflow of a compiled pipeline; `retries` as set by Kubeflow 2.17's defaults."""
    spec, platform = yaml.load_all(package, Loader=yaml.CSafeLoader)
    copies = 2 if retries else 1
    nodes = _graph(spec["root"], {}, copies)
    parameters: dict[str, int] = {}
    tasks = inputs = 0
    graphs = [spec["root"], *(each for each in spec["components"].values() if "dag" in each)]
    for graph in graphs:
        for name, task in graph["dag"]["tasks"].items():
            tasks += 1
            component = spec["components"][task["componentRef"]["name"]]
            nodes += _nodes(spec, platform, task, component, copies)
            if "executorLabel" in component:
                parameters[name] = len(json.dumps(_values(spec, graph, task, component)))
                inputs += 3 * copies * len(_executor_input(spec, task, component))
    # Argo sorts the nodes by their ids, which are hashes: copies of one text are seldom neighbours.
    random.Random(7).shuffle(nodes)
    static = len(json.dumps(spec)) + len(json.dumps(platform)) + _FIXED + _TEMPLATE * tasks + _MANAGED * len(nodes)
    # The status is compressed as one text and stored in base64; gzip finds repetitions within 32 kB.
    packed = base64.b64encode(gzip.compress("".join(nodes).encode()))
    return WorkflowSize(static + sum(map(len, nodes)), static + len(packed), inputs, parameters)


def _graph(component: Any, task: Any, copies: int) -> list[str]:
    """Return the nodes of a graph: those of its driver, and its own, which have no inputs but ids."""
    driver = _node({"component": json.dumps(component), "task": json.dumps(task)}, {})
    return [driver] * copies + [_node({}, {})] * copies


def _nodes(spec: Any, platform: Any, task: Any, component: Any, copies: int) -> list[str]:
    if "executorLabel" not in component:
        return _graph(component, task, copies)
    label = component["executorLabel"]
    container = spec["deploymentSpec"]["executors"][label]["container"]
    settings = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].get(label, {})
    driver = {
        "component": json.dumps(component),
        "task": json.dumps(task),
        "container": json.dumps(container),
        "kubernetes-config": json.dumps(settings),
    }
    patch = json.dumps(_pod(container, component, settings, _executor_input(spec, task, component)))
    inner = _node({"pod-spec-patch": patch}, {})
    return [_node(driver, {"pod-spec-patch": patch})] * copies + [inner] * copies + [inner] * copies


def _node(inputs: dict[str, str], outputs: dict[str, str]) -> str:
    return json.dumps({**_NODE, "inputs": inputs, "outputs": outputs})


def _pod(container: Any, component: Any, settings: Any, executor_input: str) -> dict[str, Any]:
    """Return the patch of a task's pod, with what its platform settings become."""
    launcher = [*_LAUNCHER, "--executor_input", executor_input, "--component_spec", json.dumps(component)]
    variables = [
        {"name": key["envVar"], "valueFrom": {"keyRef": {"name": each.get("secretName", ""), "key": "x" * 10}}}
        for kind in ("secretAsEnv", "configMapAsEnv")
        for each in settings.get(kind, [])
        for key in each["keyToEnv"]
    ]
    volumes = [{"name": "x" * 12, "kind": {"name": "x" * 16}, "mountPath": "x" * 20}] * sum(
        len(settings.get(kind, [])) for kind in ("secretAsVolume", "configMapAsVolume", "emptyDirMounts")
    )
    main = {"name": "main", "image": container["image"], "command": launcher}
    main |= {"args": [*container["command"], *container["args"]], "env": [*container.get("env", []), *variables]}
    return {"containers": [main | {"resources": container["resources"]}], "volumes": volumes}


def _executor_input(spec: Any, task: Any, component: Any) -> str:
    inputs, outputs = component.get("inputDefinitions", {}), component.get("outputDefinitions", {})
    # The launcher's log is an output of every task.
    written = ["executor-logs", *outputs.get("artifacts", {})]
    return json.dumps(
        {
            "inputs": {
                "parameterValues": _values(spec, spec["root"], task, component),
                "artifacts": {name: {"artifacts": [_INPUT]} for name in inputs.get("artifacts", {})},
            },
            "outputs": {
                "artifacts": {name: {"artifacts": [_OUTPUT]} for name in written},
                "outputFile": _URI,
            },
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
