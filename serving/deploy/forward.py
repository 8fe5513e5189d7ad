"""The way to a pod by `kubectl port-forward`: it ends inside of the pod, where no network policy is in force."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from almanac.core.errors import DeploymentError
from serving.deploy.kube import Kube, label
from serving.deploy.rollout import ready_pods

#: In the place of an address.
PORT_FORWARD = "port-forward"
_PORT = 8080
_OPEN = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ")


@contextmanager
def forwarded(kube: Kube, service: dict[str, Any]) -> Iterator[str]:
    """Yield an address of this machine that leads to a ready pod of an InferenceService, until the block ends.

    Args:
        kube: the cluster.
        service: the InferenceService; kind, version, namespace and name are enough.

    Raises:
        DeploymentError: no pod of its version is ready, or kubectl opened no way to it.
    """
    namespace, current = service["metadata"]["namespace"], kube.get(service)
    pods = ready_pods(kube, current) if current else []
    if not pods:
        raise DeploymentError(f"{label(service)}: has no ready pod, to which a port could be forwarded")
    command = ["kubectl", "port-forward", f"pod/{pods[0]}", f":{_PORT}", "-n", namespace, "--address", "127.0.0.1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        found = _OPEN.match(line)
        if found is None:
            raise DeploymentError(f"{' '.join(command)}: {line.strip() or 'ended without a word'}")
        yield f"http://127.0.0.1:{found[1]}"
    finally:
        process.terminate()
        process.communicate()


def may_forward(kube: Kube, namespace: str) -> str:
    """Return the right or program that a forwarded port lacks, in words; empty if none."""
    if shutil.which("kubectl") is None:
        return "kubectl is not installed"
    if not kube.may("create", "pods", namespace, subresource="portforward"):
        return "this account may not forward ports (create on pods/portforward)"
    return ""
