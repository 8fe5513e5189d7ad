"""Stores of a registry's objects by address: a directory, an S3 bucket or a Google bucket."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from almanac.core.errors import RegistryError
from governance.registry.local_store import LocalStore
from governance.registry.object_store import ObjectStore
from governance.registry.store import Store

DEFAULT = "registry"
"""Directory of the registry if no other is given."""


def open_store(url: str) -> Store:
    """Return the store behind `url`: a path, `file://`, `s3://bucket/prefix` or `gs://bucket/prefix`.

    Raises:
        RegistryError: the scheme has no atomic create-only put; in a pod, a path that other pods do not see.
    """
    url = _shared(url)
    scheme = urlsplit(url).scheme if "://" in url else "file"
    if scheme == "file":
        return LocalStore(url, Path(url.removeprefix("file://")).expanduser().absolute())
    if scheme in ("s3", "gs"):
        import fsspec

        # Other processes write to the bucket, and a cached listing would not show their records.
        filesystem, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        return ObjectStore(url.rstrip("/"), filesystem, root)
    raise RegistryError(
        f"registry {url}: a {scheme}:// store has no atomic create-only put; use a directory, s3:// or gs://"
    )


def _shared(url: str) -> str:
    """Return the URL; in a pod, ALMANAC_REGISTRY instead of the default."""
    if "://" in url or Path(url).is_absolute() or "KUBERNETES_SERVICE_HOST" not in os.environ:
        return url
    configured = os.environ.get("ALMANAC_REGISTRY")
    if configured and url == DEFAULT and configured != url:
        return _shared(configured)
    raise RegistryError(
        f"registry {url}: a path of this pod, which no other task sees; use s3://, gs:// or the absolute path of a "
        "shared volume, in the parameter registry or the key registry of the config map almanac"
    )
