"""The Kubernetes objects of a served version: ServingRuntime, InferenceService, and what KServe does not create.

KServe's Standard mode turns an InferenceService into Deployment, Service and HorizontalPodAutoscaler. It creates no
PodDisruptionBudget, NetworkPolicy or ServiceMonitor, its default readiness probe is a bare TCP connection, and
`maxReplicas` falls back to `minReplicas`; all of that is set here.
"""

from dataclasses import dataclass, field
from typing import Any

import yaml

HTTP_PORT, GRPC_PORT = 8080, 8081
#: Seconds from the preStop sleep to the kill: endpoints are withdrawn, requests in flight end, spans are flushed.
PRE_STOP_SECONDS, GRACE_SECONDS = 10, 60


@dataclass(frozen=True)
class Deployment:
    """The values of one version's manifest.

    Attributes:
        use_case: Name of the use case.
        version: Number of the version in the registry.
        digest: sha256 of the version's manifest.
        storage_uri: Where KServe's storage initializer finds the model directory.
        image: The serving image.
        namespace: Namespace.
        min_replicas: Fewest pods.
        max_replicas: Most pods.
        labels: Further labels.
    """

    use_case: str
    version: int
    digest: str
    storage_uri: str
    image: str
    namespace: str
    min_replicas: int
    max_replicas: int
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the objects, in characters that Kubernetes allows."""
        return self.use_case.replace("_", "-")

    @property
    def runtime(self) -> str:
        """Name of the ServingRuntime, one for each use case of a namespace."""
        return f"almanac-{self.name}"


def render(deployment: Deployment) -> list[dict[str, Any]]:
    """Return the objects in the order in which they are applied."""
    return [
        _serving_runtime(deployment),
        _inference_service(deployment),
        _disruption_budget(deployment),
        _network_policy(deployment),
        _service_monitor(deployment),
    ]


def to_yaml(objects: list[dict[str, Any]]) -> str:
    """Return the objects as one YAML file of several documents, the same bytes for the same objects."""
    return yaml.safe_dump_all(objects, sort_keys=False, width=120)


def _metadata(deployment: Deployment, name: str, **more: Any) -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/name": deployment.name,
        "app.kubernetes.io/part-of": "almanac",
        "app.kubernetes.io/version": str(deployment.version),
        **deployment.labels,
    }
    return {"name": name, "namespace": deployment.namespace, "labels": labels, **more}


def _selector(deployment: Deployment) -> dict[str, Any]:
    """Return the selector of the pods that KServe creates for the InferenceService."""
    return {"matchLabels": {"serving.kserve.io/inferenceservice": deployment.name}}


def _serving_runtime(deployment: Deployment) -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": _metadata(deployment, deployment.runtime),
        "spec": {
            "annotations": {"prometheus.kserve.io/path": "/metrics", "prometheus.kserve.io/port": str(HTTP_PORT)},
            # The InferenceService names its runtime; KServe refuses two that both offer themselves for a format.
            "supportedModelFormats": [{"name": "almanac", "version": "1", "autoSelect": False}],
            "protocolVersions": ["v1", "v2", "grpc-v2"],
            "multiModel": False,
            "containers": [_container(deployment)],
            "volumes": [
                {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
                {"name": "keys", "secret": {"secretName": "almanac-api-keys"}},
            ],
        },
    }


def _container(deployment: Deployment) -> dict[str, Any]:
    return {
        "name": "kserve-container",
        "image": deployment.image,
        "args": [
            "--model_dir=/mnt/models",
            "--model_name={{.Name}}",
            "--host=0.0.0.0",
            f"--http_port={HTTP_PORT}",
            f"--grpc_port={GRPC_PORT}",
            "--auth=required",
            "--keys=/etc/almanac/keys.json",
        ],
        # Shared with the pipelines: the address of the prediction log, and its credentials.
        "env": [
            _optional("ALMANAC_PREDICTION_LOG", "configMapKeyRef", "almanac", "predictions"),
            _optional("AWS_ACCESS_KEY_ID", "secretKeyRef", "almanac-store", "access_key"),
            _optional("AWS_SECRET_ACCESS_KEY", "secretKeyRef", "almanac-store", "secret_key"),
            _optional("AWS_ENDPOINT_URL", "secretKeyRef", "almanac-store", "endpoint"),
        ],
        "envFrom": [{"secretRef": {"name": "almanac-serving", "optional": True}}],
        # KServe maps port 80 of its Service to the container's first port.
        "ports": [
            {"name": "http1", "containerPort": HTTP_PORT, "protocol": "TCP"},
            {"name": "grpc", "containerPort": GRPC_PORT, "protocol": "TCP"},
        ],
        "startupProbe": {
            "httpGet": {"path": "/healthz", "port": HTTP_PORT},
            "periodSeconds": 1,
            "failureThreshold": 60,
        },
        "readinessProbe": {
            "httpGet": {"path": "/v2/health/ready", "port": HTTP_PORT},
            "periodSeconds": 5,
            "failureThreshold": 2,
        },
        "livenessProbe": {
            "httpGet": {"path": "/v2/health/live", "port": HTTP_PORT},
            "periodSeconds": 10,
            "failureThreshold": 3,
        },
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "resources": {
            "requests": {"cpu": "500m", "memory": "256Mi"},
            "limits": {"cpu": "2", "memory": "512Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
            {"name": "keys", "mountPath": "/etc/almanac", "readOnly": True},
        ],
    }


def _optional(name: str, source: str, holder: str, key: str) -> dict[str, Any]:
    """Return an environment variable from a key of a config map or secret, unset without it."""
    return {"name": name, "valueFrom": {source: {"name": holder, "key": key, "optional": True}}}


def _inference_service(deployment: Deployment) -> dict[str, Any]:
    annotations = {
        "serving.kserve.io/deploymentMode": "Standard",
        "almanac.io/version": str(deployment.version),
        "almanac.io/manifest-sha256": deployment.digest,
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": _metadata(deployment, deployment.name, annotations=annotations),
        "spec": {
            "predictor": {
                "minReplicas": deployment.min_replicas,
                "maxReplicas": deployment.max_replicas,
                "scaleMetric": "cpu",
                "scaleTarget": 70,
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": GRACE_SECONDS,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "runAsGroup": 65532,
                    "fsGroup": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "topologySpreadConstraints": [
                    {
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": _selector(deployment),
                    }
                ],
                "deploymentStrategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
                },
                "model": {
                    "modelFormat": {"name": "almanac", "version": "1"},
                    "runtime": deployment.runtime,
                    "protocolVersion": "v2",
                    "storageUri": deployment.storage_uri,
                    # Metrics are joined by the registry's number, which the model directory does not contain.
                    "env": [{"name": "ALMANAC_MODEL_VERSION", "value": str(deployment.version)}],
                },
            }
        },
    }


def _disruption_budget(deployment: Deployment) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(deployment, deployment.name),
        "spec": {"maxUnavailable": 1, "selector": _selector(deployment)},
    }


def _network_policy(deployment: Deployment) -> dict[str, Any]:
    """Allow requests to the server's ports, and from it to DNS, object stores, Redis and a trace collector."""
    ports = [{"protocol": "TCP", "port": port} for port in (HTTP_PORT, GRPC_PORT)]
    open_ports = (53, 443, 4318, 6379, 9000)
    out = [{"protocol": "UDP", "port": 53}, *({"protocol": "TCP", "port": port} for port in open_ports)]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(deployment, deployment.name),
        "spec": {
            "podSelector": _selector(deployment),
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": ports}],
            "egress": [{"ports": out}],
        },
    }


def _service_monitor(deployment: Deployment) -> dict[str, Any]:
    """Scrape the Service that KServe creates; metrics are on the HTTP port."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": _metadata(deployment, deployment.name),
        "spec": {
            "selector": _selector(deployment),
            "endpoints": [
                {
                    "path": "/metrics",
                    "interval": "15s",
                    "targetPort": HTTP_PORT,
                    # The alert rules select servers by this job name; a Service's own differs by deployment.
                    "relabelings": [{"targetLabel": "job", "replacement": "almanac-server"}],
                }
            ],
        },
    }
