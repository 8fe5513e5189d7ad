"""The values of the Helm chart: the defaults with their meaning, and those of each environment."""

from typing import Any

VALUES = """\
# The version: `almanac deploy values USECASE REGISTRY version.yaml` writes these for the version in production.
name: forecast
version: "0"
manifestSha256: ""
runtime: almanac-forecast
image: ""
# Address of the model, or /mnt/models where KServe mounts it from storageUri.
model: ""
storageUri: ""
# server: the server reads the object store itself; mounted: KServe puts the model into the pod.
loading: mounted
storageSecretName: ""

# Labels of every object.
labels: {}

minReplicas: 2
maxReplicas: 4
# KServe makes a HorizontalPodAutoscaler for this share of the processors, in percent.
scaleTarget: 70
# In its place KEDA, where it is installed: for example by requests a second from Prometheus.
keda:
  enabled: false
  autoScaling:
    metrics:
    - type: External
      external:
        metric:
          backend: prometheus
          serverAddress: http://prometheus-operated.monitoring:9090
          query: sum(rate(almanac_requests_total[1m]))
        target:
          type: Value
          value: "100"

resources:
  requests: {cpu: 500m, memory: 256Mi}
  limits: {cpu: "2", memory: 512Mi}
priorityClassName: ""
topologySpread:
- {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway}

# Who may send requests, as the `from` of a NetworkPolicy: the ingress controller's namespace among them. Empty: all.
networkPolicy:
  from: []

# For kube-prometheus-stack give its label: labels: {release: kube-prometheus-stack}.
serviceMonitor:
  enabled: true
  interval: 15s
  labels: {}

# TLS by cert-manager, which writes the secret.
ingress:
  enabled: false
  className: nginx
  host: forecasts.example.org
  tlsSecretName: almanac-tls
  annotations: {cert-manager.io/cluster-issuer: letsencrypt}

# Gateway API: the gateway's listener ends TLS.
gateway:
  enabled: false
  hostnames: [forecasts.example.org]
  parentRefs:
  - {name: gateway, namespace: gateway, sectionName: https}

# Secrets from a store by External Secrets: name of the secret, and its key in the store.
externalSecrets:
  enabled: false
  refreshInterval: 1h
  secretStoreRef: {kind: ClusterSecretStore, name: secrets}
  secrets:
    almanac-api-keys: almanac/api-keys
    almanac-store: almanac/store

# The volume of a registry on a disk.
registryClaim:
  create: false
  storage: 10Gi
  storageClassName: ""
"""
_NAMED = "kubernetes.io/metadata.name"
_CLIENTS = [
    {"namespaceSelector": {"matchLabels": {"almanac.io/client": "true"}}},
    {"namespaceSelector": {"matchLabels": {_NAMED: "ingress-nginx"}}},
    {"namespaceSelector": {"matchLabels": {_NAMED: "monitoring"}}},
]
_ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "dev": {
        "minReplicas": 1,
        "maxReplicas": 1,
        "resources": {
            "requests": {"cpu": "100m", "memory": "192Mi"},
            "limits": {"cpu": "2", "memory": "512Mi"},
        },
        "serviceMonitor": {"interval": "60s"},
    },
    "staging": {"minReplicas": 2, "maxReplicas": 3, "networkPolicy": {"from": _CLIENTS}},
    "prod": {
        "minReplicas": 3,
        "maxReplicas": 12,
        "scaleTarget": 60,
        "resources": {
            "requests": {"cpu": "1", "memory": "384Mi"},
            "limits": {"cpu": "2", "memory": "768Mi"},
        },
        "topologySpread": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"},
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"},
        ],
        "networkPolicy": {"from": _CLIENTS},
    },
}


def environment_values(name: str) -> dict[str, Any]:
    """Return the values of an environment: the same that its kustomize overlay sets."""
    return {"labels": {"almanac.io/environment": name}, **_ENVIRONMENTS[name]}
