"""The models of a server from its settings: repository, second version, canaries."""

from dataclasses import replace

from almanac.core.errors import ServingError
from almanac.model.bundle import Bundle
from monitoring.metrics import Metrics
from serving.operations.canaries import Canaries
from serving.operations.canary_files import CanaryFiles
from serving.operations.metrics import shared_directory
from serving.prediction.repository import Repository
from serving.prediction.source import Source
from serving.prediction.use_case import ServedUseCase
from serving.runtime.http import Observe
from serving.settings import Settings


def made_repository(settings: Settings) -> Repository:
    """Return the use cases of a server, which are loaded by `Repository.open`.

    Raises:
        ServingError: --pin names no use case.
    """
    use_cases = [
        ServedUseCase(
            Source(address, settings.trusted_key, settings.model_version, settings.allow_rejected),
            alias=settings.model_name,
        )
        for address in settings.models
    ]
    for name in settings.pin or ():
        pinned = [one for one in use_cases if one.name == name]
        if not pinned:
            known = ", ".join(one.name for one in use_cases)
            raise ServingError(f"--pin {name}: no --model has this name; one of {known}")
        pinned[0].pinned = True
    return Repository(use_cases, settings.budget)


def add_second(repository: Repository, settings: Settings) -> None:
    """Load the second version, if there is one, and divide the traffic of its use case.

    Raises:
        AlmanacError: it cannot be loaded, or its use case is not served.
    """
    if not settings.second:
        return
    # The registry's address of the second version is not followed: an experiment keeps its versions.
    second = Source(settings.second, settings.trusted_key, allow_rejected=settings.allow_rejected).load()
    use_case = repository.use_cases[0] if len(repository.use_cases) == 1 else repository.find(second.use_case)
    if use_case is None or use_case.traffic is None:
        raise ServingError(f"--second {settings.second}: {second.use_case} is not served here")
    traffic = replace(use_case.traffic, second=second, role=settings.second_role, share=settings.second_share)
    repository.set_traffic(use_case, traffic)


def _version(settings: Settings, use_case: ServedUseCase, version: str) -> Bundle:
    """Load a version of a use case by its number in the registry, or by the address of --canary."""
    if settings.canary_version is not None and version == settings.canary_version[0] and not version.isdigit():
        return Source(version, settings.trusted_key, settings.canary_number).load()
    if not use_case.source.follows_promotions:
        raise ServingError(f"{use_case.name} is no model of a registry, where versions have numbers; see --canary")
    return Source(f"registry:{use_case.name}/{version}", settings.trusted_key).load()


def made_canaries(settings: Settings, repository: Repository, metrics: Metrics, observers: list[Observe]) -> Canaries:
    """Return the canaries of a server, which take part in `observers` while there are any."""
    return Canaries(
        repository,
        lambda use_case, version: _version(settings, use_case, version),
        settings.canary_bounds,
        metrics,
        _canary_files(settings),
        observers,
    )


def start_canary(settings: Settings, repository: Repository, canaries: Canaries) -> None:
    """Start the canary of the settings, which may name a version of the only use case, or any address.

    Raises:
        AlmanacError: it cannot be loaded, or its use case is not served.
    """
    version, percent = settings.canary_version or ("", 0.0)
    if version.isdigit():
        if len(repository.use_cases) > 1:
            raise ServingError(f"--canary {settings.canary}: with several models write registry:<use case>/{version}=…")
        canaries.start(repository.use_cases[0], version, percent)
        return
    new = Source(version, settings.trusted_key, settings.canary_number).load()
    use_case = repository.find(new.use_case)
    if use_case is None:
        raise ServingError(f"--canary {settings.canary}: {new.use_case} is not served here")
    canaries.begin_loaded(use_case, new, percent, version)


def _canary_files(settings: Settings) -> CanaryFiles | None:
    """Return the files of the canaries: a directory that stays, or that of the workers of this server."""
    directory = settings.canary_state or shared_directory()
    return CanaryFiles(directory) if directory is not None else None
