"""References of the project's modules: other modules, and registries of kinds."""

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from almanac.core.files import canonical_json, sha256_bytes, sha256_file, write_bytes

#: Statements of a module that reads no file: imports and texts.
_IDLE = (ast.Import, ast.ImportFrom, ast.Expr)


@dataclass(frozen=True)
class Named:
    """The references of a module.

    Attributes:
        sha256: digest of its file.
        names: modules, or members of modules, that it imports or starts by name.
        registries: folder and group of each of its registries of kinds.
        runs: whether it can read files: an `__init__` of nothing but imports and a docstring cannot.
    """

    sha256: str
    names: frozenset[str]
    registries: frozenset[tuple[str, str]]
    runs: bool

    @cached_property
    def on_the_way(self) -> frozenset[str]:
        """The names, and those of every package on the way to them."""
        return frozenset(part for name in self.names for part in on_the_way(name))


class ModuleNames:
    """Names by module, which are found once for each content of a file.

    Args:
        path: file in which they are kept for further processes; None keeps them in this one.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        # Kept by this file's content too, since other code may find other names.
        self._finder = sha256_file(Path(__file__))
        self._known = self._read()
        self._changed = False

    def of(self, module: Path, root: Path) -> Named:
        """Return the references of a module.

        Args:
            module: its file.
            root: directory of the top packages, from which relative imports are resolved.

        Raises:
            ValueError: a registry whose folder or group is no literal.
        """
        source = module.read_bytes()
        digest = sha256_bytes(source)
        key = f"{module.relative_to(root).as_posix()} {digest}"
        if key not in self._known:
            self._known[key] = _find(module, source, digest, root)
            self._changed = True
        return self._known[key]

    def save(self) -> None:
        """Write the file, where names were found that it lacks."""
        if self._path is None or not self._changed:
            return
        modules = {
            key: {"names": sorted(named.names), "registries": sorted(named.registries), "runs": named.runs}
            for key, named in self._known.items()
        }
        write_bytes(self._path, canonical_json({"finder": self._finder, "modules": modules}))
        self._changed = False

    def _read(self) -> dict[str, Named]:
        """Return the names that the file holds; none where it is missing, damaged or of other code."""
        try:
            kept: dict[str, Any] = json.loads(self._path.read_bytes()) if self._path is not None else {}
            modules = kept["modules"] if kept.get("finder") == self._finder else {}
            return {key: _named(key.rpartition(" ")[2], entry) for key, entry in modules.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}


def on_the_way(module: str) -> Iterator[str]:
    """Yield the names of every package on the way to a module, and its own."""
    return accumulate(module.split("."), "{}.{}".format)


def _named(digest: str, entry: dict[str, Any]) -> Named:
    registries = frozenset((str(folder), str(group)) for folder, group in entry["registries"])
    return Named(digest, frozenset(entry["names"]), registries, entry["runs"] is True)


def _find(path: Path, source: bytes, digest: str, root: Path) -> Named:
    names: set[str] = set()
    registries: set[tuple[str, str]] = set()
    tree = ast.parse(source)
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                names.update(alias.name for alias in node.names)
            case ast.ImportFrom():
                module = _absolute(node, path, root)
                names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
            # A program started by `python -m NAME`, or importlib.import_module(NAME).
            case ast.Constant(value=str(text)) if "." in text and text.replace(".", "").isidentifier():
                names.add(text)
            case ast.Call(func=ast.Name(id="Kinds") | ast.Attribute(attr="Kinds")):
                registries.add(_registry(node, path))
    # The names of a registry are no modules that this one imports.
    names -= {name for registry in registries for name in registry}
    runs = path.name != "__init__.py" or not all(isinstance(node, _IDLE) for node in tree.body)
    return Named(digest, frozenset(names), frozenset(registries), runs)


def _absolute(node: ast.ImportFrom, path: Path, root: Path) -> str:
    package = path.relative_to(root).parts[: -node.level] if node.level else ()
    return ".".join([*package, *filter(None, [node.module])])


def _registry(call: ast.Call, path: Path) -> tuple[str, str]:
    """Return the folder and the group of `Kinds(family, folder, group)`, which have to be literals."""
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    folder, group = (
        named.get(name, call.args[at] if len(call.args) > at else ast.Constant(""))
        for at, name in ((1, "folder"), (2, "group"))
    )
    match folder, group:
        case ast.Constant(value=str(of)), ast.Constant(value=str(group_name)) if of:
            return of, group_name
    raise ValueError(
        f"{path}:{call.lineno}: the step cache reads folder and group of Kinds(...); write them as literals"
    )
