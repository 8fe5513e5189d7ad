"""Section on the cluster: where the pipelines' tasks run, and how they reach hosts outside."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from almanac.usecase.types import Address, Name, Section

_OBJECT = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"

ObjectName = Annotated[str, Field(pattern=_OBJECT, max_length=253)]
"""Name of a Kubernetes object."""
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""Name of an environment variable."""
Quantity = Annotated[str, Field(pattern=r"^[1-9]\d*(Mi|Gi)$")]
"""Memory, such as 512Mi or 8Gi."""


def _check_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("an address begins with http:// or https://")
    return url


Url = Annotated[Address, AfterValidator(_check_url)]
"""Address of an HTTP server, without a password."""


class Toleration(Section):
    """A taint of nodes that tasks may run on."""

    key: str
    """Key of the taint."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """Equal compares the value; Exists accepts any."""
    value: str | None = None
    """Value of the taint."""
    effect: Literal["NoExecute", "NoSchedule", "PreferNoSchedule"] | None = None
    """Effect of the taint; any when absent."""

    @model_validator(mode="after")
    def _value_fits(self) -> "Toleration":
        if (self.operator == "Exists") == (self.value is not None):
            raise ValueError("'value' belongs to operator Equal, and only to it")
        return self


class Resources(Section):
    """Resources of a task, in place of the library's."""

    cpu: Annotated[int, Field(ge=1)] | None = None
    """Requested cores; the limit is twice that."""
    memory: Quantity | None = None
    """Requested memory, and its limit."""
    minutes: Annotated[int, Field(ge=1)] | None = None
    """Time limit."""


class SecretVariables(Section):
    """A secret whose keys become environment variables of the tasks that read the sources."""

    secret: ObjectName
    """Name of the secret."""
    keys: Annotated[dict[str, Variable], Field(min_length=1)]
    """Key of the secret to environment variable, such as one that a source names in `connection_env`."""


class Proxy(Section):
    """An HTTP proxy between the cluster and hosts outside."""

    address: Url
    """Address of the proxy."""
    exempt: list[str] = []
    """Hosts and domains reached directly, besides the cluster's own."""


class Authority(Section):
    """A config map with the certificates of a private certificate authority."""

    config_map: ObjectName
    """Name of the config map."""
    key: str = "ca.crt"
    """Its key with the PEM file, which takes the place of the public authorities: it holds all that are trusted."""


class Cluster(Section):
    """The pods of the pipelines' tasks."""

    pull_secrets: list[ObjectName] = []
    """Secrets for a private registry of images."""
    node_selector: dict[str, str] = {}
    """Labels that nodes must have."""
    tolerations: list[Toleration] = []
    """Taints of nodes that tasks may run on."""
    resources: dict[Name, Resources] = {}
    """Resources by task, such as training, for a namespace with a quota."""
    secrets: list[SecretVariables] = []
    """Secrets for the tasks that read the sources."""
    store_endpoint: Url | None = None
    """Address of an S3 store other than Amazon's, in place of the key `endpoint` of the secret `almanac-store`."""
    proxy: Proxy | None = None
    """HTTP proxy."""
    authority: Authority | None = None
    """Private certificate authority."""
