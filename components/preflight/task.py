"""Entry point of the preflight component."""

from pathlib import Path

from almanac.core.errors import PipelineError, RegistryError
from almanac.core.progress import summary
from almanac.data.fingerprint import fingerprint
from almanac.usecase import UseCase, load_text
from almanac.usecase.views import reads
from governance import signing
from governance.registry import Version, require_address
from governance.registry.stores import open_store
from governance.repetition import repeated

_STORE = (
    "pods write with the keys of the secret almanac-store, `kubectl create secret generic almanac-store "
    "--from-literal=access_key=KEY --from-literal=secret_key=SECRET`, or as their service account"
)


def run(usecase: str, base: Path, registry: str, environment: str) -> tuple[str, bool]:
    """Return the fingerprint of the sources, and whether a training would make another version.

    On a laptop it is always said to: there each step is cached by content, and a run directory is written anew.

    Args:
        usecase: the use case as JSON.
        base: directory that the paths of file sources are relative to.
        registry: address of the model registry.
        environment: local or cluster.

    Raises:
        PipelineError: a cluster lacks the right to write to the registry.
        RegistryError: it lacks the registry's address or the key to sign with, or the registry does not verify.
        SourceError: a source is unreachable.
    """
    case, cluster = load_text(usecase, "usecase"), environment == "cluster"
    if cluster:
        # Here, because a later task would find out after an hour of training.
        require_address(registry, environment)
        _check_rights(registry)
    else:
        # By this part the cache keys the step, so that an edited statement asks no source anew.
        case = reads(case, "preflight")
    present = fingerprint(case, base)
    version = repeated(case, present, registry) if cluster else None
    if version is None or not _is_complete(case, version):
        summary(f"{len(case.sources)} source{'s' * (len(case.sources) != 1)}")
        return present, True
    state = "is in production" if version.stage else "awaits an approval"
    summary(f"nothing has changed: version {version.number}, of the same use case, sources and code, {state}")
    return present, False


def _is_complete(case: UseCase, version: Version) -> bool:
    """Return whether nothing is left to do for a version: one in production is also served."""
    # Imports the client of Kubernetes, which a run on a laptop does not need: a third of its processor time.
    from serving.deploy.served import served

    return version.stage is None or served(case.name, case.serving.namespace) == str(version.number)


def _check_rights(registry: str) -> None:
    """Refuse a run that could not register its model."""
    try:
        open_store(registry).probe()
    except RegistryError as error:
        raise PipelineError(f"{error}; {_STORE}") from None
    if not signing.keyless():
        signing.signing_key("cluster")
