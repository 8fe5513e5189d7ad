"""The use case that a command of the room is about: a file, or the name of one in the registry."""

from dataclasses import dataclass
from pathlib import Path

from almanac.core.errors import RegistryError
from almanac.reports import Times
from almanac.usecase import UseCase, load, load_text
from governance.documents.layout import USECASE
from governance.registry import Registry
from governance.registry.versions import read_blob


@dataclass(frozen=True)
class Subject:
    """A use case.

    Attributes:
        name: its name.
        usecase: its file, or the statement of a registered version; None where there is neither.
        file: path of its file for commands, the usual one where it was given by name.
    """

    name: str
    usecase: UseCase | None
    file: str

    @property
    def title(self) -> str:
        """Its title for people."""
        return self.usecase.title if self.usecase is not None else self.name

    @property
    def zone(self) -> str:
        """IANA name of its zone."""
        return (self.usecase.time.zone if self.usecase is not None else None) or "UTC"

    @property
    def times(self) -> Times:
        """How reports write the times of its data."""
        return Times() if self.usecase is None else Times.of(self.usecase)


def find_subject(given: str, registry_url: str) -> Subject:
    """Return the use case of a command's argument.

    Args:
        given: path of a use case file, or a name.
        registry_url: address of the model registry, whose version in production states the use case of a name.

    Raises:
        UseCaseError: a file that breaks a rule.
        RegistryError: a registry that breaks a rule.
    """
    if given.endswith((".yaml", ".yml", ".json")) or Path(given).is_file():
        usecase = load(Path(given))
        return Subject(usecase.name, usecase, given)
    return Subject(given, _registered(given, registry_url), f"usecases/{given}.yaml")


def _registered(name: str, registry_url: str) -> UseCase | None:
    """Return the use case as the documents of the version in production state it, of the newest version otherwise."""
    registry = Registry(registry_url)
    if name not in registry.use_cases():
        return None
    current = registry.current(name)
    for entry in (current, *reversed(registry.registered(name).versions.values())):
        if entry is None or entry.documents is None:
            continue
        item = registry.files(name, entry.number).get(USECASE)
        if item is not None:
            text = read_blob(registry.store, USECASE, item["sha256"]).decode()
            try:
                return load_text(text, f"{USECASE} of {name} version {entry.number}")
            except ValueError as error:
                raise RegistryError(f"{error}; give the use case file instead of its name") from None
    return None
