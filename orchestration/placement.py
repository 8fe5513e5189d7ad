"""The cluster section of a use case, applied to a task: nodes, images, secrets, and the way out of the cluster."""

from typing import Any

from kfp import dsl, kubernetes

from almanac.usecase.cluster_section import Authority, Cluster, Proxy

#: Directory in which a task finds the certificates of a private authority.
_CERTIFICATES = "/etc/almanac/authority"
#: Variables that name a file of certificates: of Python and httpx, of requests, of S3's client.
_TRUST = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
#: What lies in the cluster is never behind the proxy. Kubernetes fills in the address of its API.
_INSIDE = ("localhost", "127.0.0.1", "$(KUBERNETES_SERVICE_HOST)", ".svc", ".cluster.local", ".kubeflow")
_STORE_ENDPOINT = "AWS_ENDPOINT_URL"


def place(task: dsl.PipelineTask, cluster: Cluster, network: bool, sources: bool) -> None:
    """Apply a cluster section to a task.

    Args:
        task: the task.
        cluster: the section.
        network: whether the task opens connections out of its pod.
        sources: whether it reads the use case's sources.
    """
    if cluster.pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(cluster.pull_secrets))
    for key, value in sorted(cluster.node_selector.items()):
        kubernetes.add_node_selector(task, key, value)
    for taint in cluster.tolerations:
        kubernetes.add_toleration(task, taint.key, taint.operator, taint.value, taint.effect)
    # Kubeflow copies every variable eight times into a run's object, so that only tasks that need them have them.
    if network:
        _reach(task, cluster)
    if sources:
        for given in cluster.secrets:
            # Without it the source's own error names the variable, where a pod would wait for a secret that is missing.
            kubernetes.use_secret_as_env(task, given.secret, dict(given.keys), optional=True)


def _reach(task: dsl.PipelineTask, cluster: Cluster) -> None:
    variables: dict[str, Any] = {}
    if cluster.store_endpoint is not None:
        variables[_STORE_ENDPOINT] = cluster.store_endpoint
    if cluster.proxy is not None:
        variables |= _proxy(cluster.proxy)
    if cluster.authority is not None:
        variables |= _trust(task, cluster.authority)
    for name, value in variables.items():
        task.set_env_variable(name, value)


def _proxy(proxy: Proxy) -> dict[str, str]:
    exempt = ",".join([*_INSIDE, *proxy.exempt])
    return {"HTTP_PROXY": proxy.address, "HTTPS_PROXY": proxy.address, "NO_PROXY": exempt}


def _trust(task: dsl.PipelineTask, authority: Authority) -> dict[str, str]:
    kubernetes.use_config_map_as_volume(task, authority.config_map, mount_path=_CERTIFICATES)
    return dict.fromkeys(_TRUST, f"{_CERTIFICATES}/{authority.key}")
