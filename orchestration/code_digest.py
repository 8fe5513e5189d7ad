"""Digests of the code that a component's result depends on."""

import ast
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from os.path import isfile
from pathlib import Path

from almanac.core.files import sha256_bytes, sha256_file

ROOT = Path(__file__).resolve().parents[1]

#: Built from files that count by themselves.
_BUILT = frozenset({".pyc", ".so", ".dylib"})


def code_digest(component: str, root: Path = ROOT) -> str:
    """Return a digest of the code, data and libraries that a component's result depends on.

    Imports are followed through the project's own modules, so that a change in one component leaves the cached results
    of the others valid. Registries of kinds import by name, so their folders are followed too: with everything that the
    kinds import by a component that reaches the room of the folder, and otherwise as the declarations of a use case
    file. Of a package with a module that is reached, files that are no Python count as well: C sources, templates.
    """
    start = root / "components" / component / "component.py"
    modules, declarations, groups = _reachable(start, root)
    packages = {path.parent for path in modules if _runs_code(path)} - {root}
    data = {file for package in packages for file in _data(package)}
    locked = (root / "requirements").glob("components.txt")
    files = sorted({*modules, *declarations, *data, *locked})
    lines = [f"{path.relative_to(root)} {sha256_file(path)}" for path in files]
    installed = entry_points()
    lines += [_extension(point) for group in sorted(groups) for point in sorted(installed.select(group=group))]
    return sha256_bytes("\n".join(lines).encode())


def _reachable(start: Path, root: Path) -> tuple[set[Path], set[Path], set[str]]:
    """Return the modules that a module imports, the kinds that it only needs to read a use case file, and their groups.

    Groups are those of entry points by which other packages add kinds.
    """
    modules: set[Path] = set()
    queue = {start} if start.exists() else set()
    registries: set[tuple[str, str]] = set()
    pending: set[str] = set()
    # Most modules name the same others, whose files are looked for once.
    asked: set[str] = set()
    while queue:
        while queue:
            path = queue.pop()
            modules.add(path)
            names, own = _references(path, path.read_bytes(), root)
            registries |= own
            new = names - asked
            asked |= new
            queue |= {file for name in new for file in _files_of(name, root)} - modules
        pending = {folder for folder, _ in registries}
        # Kinds are used by the code of their own room; every other room only parses their declarations.
        names_of_modules = [str(path) for path in modules]
        rooms = {folder: f"{_room(folder, root)}/" for folder in pending}
        used = {folder for folder, room in rooms.items() if any(name.startswith(room) for name in names_of_modules)}
        queue = {file for folder in used for file in _members(folder, root)} - modules
        pending -= used
    declarations = {file for folder in pending for file in _members(folder, root)}
    return modules, declarations, {group for _, group in registries if group}


def _room(folder: str, root: Path) -> Path:
    return root.joinpath(*folder.split(".")[:-1])


@cache
def _references(path: Path, source: bytes, root: Path) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """Return the modules that a module names, and the folder and group of each of its registries of kinds."""
    names: set[str] = set()
    registries: set[tuple[str, str]] = set()
    for node in ast.walk(ast.parse(source)):
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
    ours = {entry.stem for entry in root.iterdir()}
    return frozenset(name for name in names if name.partition(".")[0] in ours), frozenset(registries)


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


def _members(folder: str, root: Path) -> Iterator[Path]:
    for path in root.joinpath(*folder.split(".")).iterdir():
        if path.suffix == ".py" or (path / "__init__.py").is_file():
            yield from _files_of(f"{folder}.{path.stem}", root)


def _files_of(module: str, root: Path) -> Iterator[Path]:
    """Return the files of a module of the project: itself and every package on the way to it."""
    stem = str(root)
    for part in module.split("."):
        stem = f"{stem}/{part}"
        # Strings, because a digest asks for tens of thousands of files that are not there.
        yield from (Path(name) for name in (f"{stem}/__init__.py", f"{stem}.py") if isfile(name))  # noqa: PTH113


def _runs_code(path: Path) -> bool:
    """Return whether a module can read files: an `__init__` of nothing but imports and a docstring cannot."""
    if path.name != "__init__.py":
        return True
    return not all(
        isinstance(node, ast.Import | ast.ImportFrom | ast.Expr) for node in ast.parse(path.read_bytes()).body
    )


def _data(folder: Path) -> Iterator[Path]:
    """Return the files of a package that are no Python; those of packages below it are their own."""
    for path in folder.iterdir():
        if path.is_dir():
            if path.name != "__pycache__" and not (path / "__init__.py").exists():
                yield from _data(path)
        elif path.suffix not in _BUILT | {".py"}:
            yield path


def _extension(point: EntryPoint) -> str:
    """Return an entry point with its package's version, and its content, which may change without a new one."""
    spec = find_spec(point.module.partition(".")[0])
    files = sorted(path for folder in (spec and spec.submodule_search_locations) or () for path in _tree(Path(folder)))
    if spec is not None and not files and spec.origin is not None and Path(spec.origin).is_file():
        files = [Path(spec.origin)]
    content = sha256_bytes("\n".join(f"{path.name} {sha256_file(path)}" for path in files).encode())
    version = f"{point.dist.name} {point.dist.version}" if point.dist is not None else ""
    return f"{point.group} {point.name} = {point.value} {version} {content}"


def _tree(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and path.suffix not in _BUILT)
