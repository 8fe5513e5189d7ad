"""Registries of kinds: every module of a folder brings one, and so does every entry point of an installed package.

A feature kind, a candidate, a source or a document is one module with a constant `KIND`. A team's own package adds to a
registry by an entry point that names such a constant:

    [project.entry-points."almanac.features"]
    momentum = "our_package.momentum:KIND"

Registries look modules up by name, so that the use case, a lower layer, can list their kinds.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, Protocol, TypeVar, cast

from almanac.core.errors import ExtensionError


class Named(Protocol):
    """Anything with the name by which a use case file asks for it."""

    @property
    def name(self) -> str:
        """The name of the kind."""


K = TypeVar("K", bound=Named)


class Kinds(Mapping[str, K], Generic[K]):
    """The kinds of one family by name, the project's own first, in the order of their names.

    Args:
        family: word for messages, such as "feature kind".
        folder: package each of whose public modules has a constant `KIND`.
        group: entry points that add to it; "" where a family is closed.

    Raises:
        ExtensionError: on first use, where an entry point cannot be imported or two kinds have one name.
    """

    def __init__(self, family: str, folder: str, group: str = "") -> None:
        self.family, self.folder, self.group = family, folder, group

    @cached_property
    def _kinds(self) -> dict[str, K]:
        kinds: dict[str, K] = {}
        origins: dict[str, str] = {}
        for origin, kind in [*self._own(), *self._extensions()]:
            if kind.name in kinds:
                raise ExtensionError(
                    f"{self.family} {kind.name!r} is registered twice: by {origins[kind.name]} and by {origin}; "
                    "rename one of them or uninstall its package"
                )
            kinds[kind.name], origins[kind.name] = kind, origin
        return kinds

    def _own(self) -> Iterator[tuple[str, K]]:
        package = importlib.import_module(self.folder)
        for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
            # Modules with an underscore are helpers of the kinds.
            if not module.name.startswith("_"):
                name = f"{self.folder}.{module.name}"
                yield name, cast(K, importlib.import_module(name).KIND)

    def _extensions(self) -> Iterator[tuple[str, K]]:
        for point in self._points():
            yield _origin(point), cast(K, _load(point, self.family))

    def _points(self) -> list[EntryPoint]:
        # Installed packages are found in the order of the file system, which differs from machine to machine.
        return sorted(entry_points(group=self.group), key=lambda point: point.name) if self.group else []

    def __getitem__(self, name: str) -> K:
        """Return the kind of that name.

        Raises:
            KeyError: there is none; `unknown` returns the message.
        """
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    @cached_property
    def _packages(self) -> dict[str, str]:
        # Cached, because each look at the entry points reads the metadata of every installed package.
        brought = ((point, point.dist) for point in self._points())
        return {point.load().name: f"{dist.name} {dist.version}" for point, dist in brought if dist is not None}

    def package(self, name: str) -> str:
        """Return the installed package that brings a kind, with its version; "" for the project's own kinds."""
        return self._packages.get(name, "")

    def unknown(self, name: str) -> str:
        """Return the message for a name that no kind has."""
        names = ", ".join(sorted(self._kinds))
        extension = f"; if an extension brings it, install that package here ({self.group})" if self.group else ""
        return f"there is no {self.family} {name!r}; known are {names}{extension}"


def _origin(point: EntryPoint) -> str:
    package = point.dist.name if point.dist is not None else "an unknown package"
    return f"the package {package} ({point.value})"


def _load(point: EntryPoint, family: str) -> Any:
    try:
        kind = point.load()
    # An extension may fail in any way while it is imported; the user needs its name whatever the reason.
    except Exception as error:
        raise ExtensionError(
            f"{family} {point.name!r} of {_origin(point)} cannot be loaded: {type(error).__name__}: {error}; "
            "mend, reinstall or uninstall that package"
        ) from error
    if not isinstance(getattr(kind, "name", None), str):
        raise ExtensionError(
            f"{family} {point.name!r} of {_origin(point)} is no kind: expected a constant with a name, "
            f"such as {point.module}:KIND, got {type(kind).__name__}"
        )
    return kind
