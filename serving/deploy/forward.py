"""The way to a pod by `kubectl port-forward`: it ends inside of the pod, where no network policy is in force."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from almanac.core.errors import DeploymentError
from serving.deploy.kube import Kube, label
from serving.deploy.rollout import ready_pods

#: In the place of an address.
PORT_FORWARD = "port-forward"
_PORT = 8080
#: Seconds until kubectl has opened a port, and bytes of what it says in place of that.
_SECONDS, _MOST_SAID = 30.0, 4096
_POLL_SECONDS = 0.05
_OPEN = re.compile(r"^Forwarding from 127\.0\.0\.1:(\d+) ", re.MULTILINE)


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
    # A file and no pipe: kubectl writes a line for each connection, and a full pipe would stop it.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield f"http://127.0.0.1:{_port(process, output.fileno(), ' '.join(command))}"
        finally:
            process.kill()
            process.wait()


def _port(process: "subprocess.Popen[bytes]", output: int, command: str) -> str:
    """Return the local port that kubectl reports as open."""
    end = time.monotonic() + _SECONDS
    while True:
        ended = process.poll() is not None
        # Without a seek, which would move kubectl's own place in the file.
        said = os.pread(output, _MOST_SAID, 0).decode(errors="replace").strip()
        if (found := _OPEN.search(said)) is not None:
            return found[1]
        if ended:
            raise DeploymentError(f"{command}: {said or 'ended without a word'}")
        if time.monotonic() > end:
            raise DeploymentError(f"{command}: opened no port within {_SECONDS:g} s; {said or 'it said nothing'}")
        time.sleep(_POLL_SECONDS)


def may_forward(kube: Kube, namespace: str) -> str:
    """Return the right or program that a forwarded port lacks, in words; empty if none."""
    if shutil.which("kubectl") is None:
        return "kubectl is not installed"
    if not kube.may("create", "pods", namespace, subresource="portforward"):
        return "this account may not forward ports (create on pods/portforward)"
    return ""
