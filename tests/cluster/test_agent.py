"""The agent scales an InferenceService on a real KServe, within the object's bounds, and takes it back."""

import json
from pathlib import Path

from tests.cluster.kubectl import get, kubectl, wait_for
from tests.support.agent_at_work import begun, not_helped, the_step

SERVICE = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "air", "annotations": {"serving.kserve.io/deploymentMode": "RawDeployment"}},
    "spec": {
        "predictor": {
            "minReplicas": 1,
            "maxReplicas": 2,
            # No pod has to start: what is scaled is the autoscaler.
            "containers": [
                {
                    "name": "kserve-container",
                    "image": "example.invalid/nothing:1",
                    "resources": {name: {"cpu": "10m", "memory": "10Mi"} for name in ("requests", "limits")},
                }
            ],
        }
    },
}


def test_replicas_are_raised_to_the_bound_of_the_service_and_set_back(namespace: str, tmp_path: Path) -> None:
    kubectl("apply", "-n", namespace, "-f", "-", text=json.dumps(SERVICE))

    def least() -> int:
        (scaler,) = get("hpa", "-n", namespace)["items"] or [{"spec": {"minReplicas": 0}}]
        return int(scaler["spec"]["minReplicas"])

    wait_for("the autoscaler", lambda: least() == 1)
    # The policy would allow more, which KServe refuses for this service.
    work = begun(tmp_path, "scale_service", service={"namespace": namespace, "name": "air", "lowest": 2, "highest": 8})
    assert the_step(work).result == {"replicas": 2}
    wait_for("two replicas", lambda: least() == 2)
    not_helped(work)
    wait_for("one replica", lambda: least() == 1)
