"""The secrets of API keys in a namespace: the servers' key file, and the key that deployments test a service with."""

import base64
import tempfile
from pathlib import Path
from typing import Any

from serving.deploy.kube import Kube
from serving.deploy.reach import KEY_ENTRY, KEY_SECRET
from serving.security.keys import KeyRing, load_keys, save_keys

#: Secret with the key file, which the servers mount.
RING_SECRET, RING_ENTRY = "almanac-api-keys", "keys.json"


def make_client_key(kube: Kube, namespace: str) -> bool:
    """Make a key for the tests of deployments, unless the namespace has one; return whether it was made.

    The key's text goes into one secret, its hash into the servers' key file; neither is shown or written to a disk
    that stays.

    Raises:
        DeploymentError: the secrets may not be read or written.
        ServingError: what the namespace has is no key file.
    """
    if kube.get(_secret(namespace, KEY_SECRET, KEY_ENTRY, "")) is not None:
        return False
    known = kube.get(_secret(namespace, RING_SECRET, RING_ENTRY, ""))
    ring = _load((known or {}).get("data", {}).get(RING_ENTRY))
    _, text = ring.create("deployment", ("predict",))
    # The hash first: a key that no server knows would fail every deployment.
    kube.apply(_secret(namespace, RING_SECRET, RING_ENTRY, _save(ring)))
    kube.apply(_secret(namespace, KEY_SECRET, KEY_ENTRY, text))
    return True


def _secret(namespace: str, name: str, entry: str, text: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/part-of": "almanac"}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "type": "Opaque",
        "data": {entry: base64.b64encode(text.encode()).decode("ascii")},
    }


def _load(encoded: str | None) -> KeyRing:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / RING_ENTRY
        if encoded is not None:
            path.write_bytes(base64.b64decode(encoded))
        return load_keys(path)


def _save(ring: KeyRing) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / RING_ENTRY
        save_keys(ring, path)
        return path.read_text(encoding="utf-8")
