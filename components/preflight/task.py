"""Entry point of the preflight component."""

from pathlib import Path

from almanac.core.errors import PipelineError, RegistryError
from almanac.core.progress import summary
from almanac.data.fingerprint import fingerprint
from almanac.usecase import UseCase
from almanac.usecase.override import override
from almanac.usecase.packed import label
from governance import signing
from governance.registry import Version, require_address
from governance.registry.carried import put_use_case, read_compiled
from governance.registry.stores import open_store
from governance.repetition import repeated

_STORE = (
    "pods write with the keys of the secret almanac-store, `kubectl create secret generic almanac-store "
    "--from-literal=access_key=KEY --from-literal=secret_key=SECRET`, or as their service account"
)


def run(compiled: str, overrides: str, base: Path, registry: str, environment: str) -> tuple[str, str, bool]:
    """Return the use case's label, the fingerprint of its sources, and whether a training would make another version.

    On a laptop it is always said to: there each step is cached by content, and a run directory is written anew.

    Args:
        compiled: name and digest of the use case, which this task carries or the registry holds.
        overrides: changed fields as a YAML mapping; none when empty.
        base: directory that the paths of file sources are relative to.
        registry: address of the model registry.
        environment: local or cluster.

    Raises:
        PipelineError: a cluster lacks the right to write to the registry, or there is no such use case.
        RegistryError: it lacks the registry's address or the key to sign with, or the registry does not verify.
        SourceError: a source is unreachable.
        UseCaseError: an override that breaks a rule.
    """
    cluster = environment == "cluster"
    # Here, because a later task would find out after an hour of training.
    require_address(registry, environment)
    case = override(read_compiled(compiled, registry), overrides)
    if cluster:
        _check_rights(registry)
    present = fingerprint(case, base)
    version = repeated(case, present, registry) if cluster else None
    if version is not None and _is_complete(case, version):
        state = "is in production" if version.stage else "awaits an approval"
        summary(f"nothing has changed: version {version.number}, of the same use case, sources and code, {state}")
        return label(case), present, False
    # An artifact of this task, which is never cached, would have another id in each run, and with it all later tasks.
    put_use_case(open_store(registry), case)
    summary(f"{len(case.sources)} source{'s' * (len(case.sources) != 1)}")
    return label(case), present, True


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
