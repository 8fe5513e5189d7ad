"""Use cases of compiled pipelines: carried in a variable of a task, or as blobs of a registry under their digests."""

import os

from almanac.core.errors import PipelineError
from almanac.usecase import UseCase, digest, dump, load_text
from almanac.usecase.packed import VARIABLE, label, parse_label, unpack
from governance.registry.store import Store
from governance.registry.stores import open_store
from governance.registry.versions import blob_key, put_immutable


def put_use_case(store: Store, usecase: UseCase) -> str:
    """Store a use case under its digest, and return the key; the same use case again changes nothing.

    Raises:
        RegistryError: the key holds other bytes.
    """
    key = blob_key(digest(usecase))
    put_immutable(store, key, dump(usecase).encode())
    return key


def read_use_case(store: Store, label: str, identity: str) -> UseCase:
    """Return the use case with this digest.

    Args:
        store: the registry's store.
        label: name of the use case, for errors.
        identity: its digest.

    Raises:
        PipelineError: it is not there.
        UseCaseError: it breaks a rule of this release.
    """
    key = blob_key(identity)
    try:
        data = store.read(key)
    except FileNotFoundError:
        raise PipelineError(
            f"{store.url}/{key}: the use case {label} is too large to travel in its pipeline and is not in the "
            f"registry; run `almanac publish usecases/{label}.yaml --registry {store.url}`"
        ) from None
    return load_text(data.decode(), key)


def read_compiled(compiled: str, registry: str) -> UseCase:
    """Return the use case that this task carries, or else that of the registry.

    Args:
        compiled: its name and digest.
        registry: address of the model registry.

    Raises:
        PipelineError: neither has it, or the task carries that of another compilation.
        UseCaseError: it breaks a rule of this release.
    """
    packed = os.environ.get(VARIABLE)
    usecase = unpack(packed) if packed else read_use_case(open_store(registry), *parse_label(compiled))
    # The cluster's cache sees parameters but not variables, so that the label decides what is reused.
    if label(usecase) != compiled:
        raise PipelineError(f"{VARIABLE} holds {label(usecase)}, not {compiled}; compile and upload the pipeline again")
    return usecase
