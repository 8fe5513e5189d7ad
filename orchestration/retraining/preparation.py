"""Preparation of a retraining by a workflow: missing secrets and rights are reported before the training."""

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from almanac.core.errors import AlmanacError, PipelineError, RegistryError
from governance import signing
from governance.registry.stores import open_store
from orchestration.submission import check_readable

#: A workflow gives the secrets and variables that are not configured as empty words, which no library expects.
_OPTIONAL = (
    "ALMANAC_SIGNING_KEY_PEM",
    "AWS_ACCESS_KEY_ID",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GCS_CREDENTIALS",
    "KFP_HOST",
    "KFP_NAMESPACE",
    "KFP_PIPELINE_ROOT",
    "KFP_TOKEN",
)
_STORES = {
    "s3": "the secrets AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the variable AWS_REGION, and for another service "
    "than Amazon's the variable AWS_ENDPOINT_URL",
    "gs": "the secret GCS_CREDENTIALS, the JSON of a service account or of a workload identity",
}


@contextmanager
def prepared(registry: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Check the requirements of a retraining; inside the block its secrets are where the libraries look for them.

    Args:
        registry: address of the model registry.
        environment: the environment variables of the workflow.

    Raises:
        PipelineError: something is missing; every missing secret and variable is named.
    """
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="almanac-") as folder:
        try:
            for name in _OPTIONAL:
                if name in environment and not environment[name].strip():
                    os.environ.pop(name, None)
            _write_secrets(Path(folder))
            faults = list(_cluster_faults() if os.environ.get("KFP_HOST") else _runner_faults(registry, Path(folder)))
            if faults:
                raise PipelineError("\n".join(["the retraining was not started:", *(f"  {fault}" for fault in faults)]))
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def _write_secrets(folder: Path) -> None:
    """Write the secrets that libraries read from files, readable only by this user."""
    for variable, name, path in (
        ("ALMANAC_SIGNING_KEY_PEM", "signing.pem", "ALMANAC_SIGNING_KEY"),
        ("GCS_CREDENTIALS", "gcs.json", "GOOGLE_APPLICATION_CREDENTIALS"),
    ):
        # Taken out of the environment, which every process of the run inherits.
        if content := os.environ.pop(variable, ""):
            file = folder / name
            file.touch(mode=0o600)
            file.write_text(content if content.endswith("\n") else f"{content}\n", encoding="utf-8")
            os.environ[path] = str(file)


def _cluster_faults() -> Iterator[str]:
    if not os.environ.get("KFP_TOKEN"):
        yield "KFP_HOST is set and the secret KFP_TOKEN is not; it holds the token of a service account"
    root = os.environ.get("KFP_PIPELINE_ROOT")
    if root is None:
        yield (
            "the variable KFP_PIPELINE_ROOT is not set, such as s3://bucket/runs: without it the record of the run "
            "cannot be fetched, and nobody can be asked for an approval"
        )
        return
    try:
        check_readable(root)
    except AlmanacError as error:
        yield f"{error}; give {_store_needs(root)}"


def _runner_faults(registry: str, folder: Path) -> Iterator[str]:
    # It would log a traceback of the error that is told here in a line.
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    try:
        store = open_store(registry)
        if "://" in registry:
            store.probe()
    # Each store's library has errors of its own for missing or wrong credentials.
    except Exception as error:
        yield f"{error or type(error).__name__}; give {_store_needs(registry)}"
    try:
        _choose_signer(folder)
    except RegistryError as error:
        yield str(error)


def _choose_signer(folder: Path) -> None:
    """Settle how the version will be signed, so that somebody else can check it; prove that it works."""
    if "ALMANAC_SIGNING_KEY" in os.environ:
        print(f"signing with the key {signing.fingerprint(signing.public_key(signing.signing_key()))}", flush=True)
        return
    # The machine's own key is gone with the machine of a workflow, and its public half nobody knows.
    if os.environ.get("GITHUB_ACTIONS") != "true" and not signing.keyless():
        return
    if not os.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL"):
        raise RegistryError(
            "there is nothing to sign with that somebody could check: give the secret ALMANAC_SIGNING_KEY_PEM, an "
            "unencrypted P-256 key, or the job the permission id-token: write for a signature by its identity"
        )
    os.environ["ALMANAC_SIGNING"] = "keyless"
    probe = folder / "probe"
    probe.mkdir()
    (probe / "probe").write_text("Signed to see that signing works.\n", encoding="utf-8")
    try:
        signing.sign_keyless(probe, folder / "signed")
    except RegistryError as error:
        raise RegistryError(f"{error}; or give the secret ALMANAC_SIGNING_KEY_PEM, an unencrypted P-256 key") from None
    print("signing with the identity of this workflow", flush=True)


def _store_needs(address: str) -> str:
    scheme = address.partition("://")[0].replace("minio", "s3")
    return _STORES.get(scheme, "the address of a directory, s3:// or gs://")
