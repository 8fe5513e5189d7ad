"""Digests of the code that a component's result depends on."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from os.path import isfile
from pathlib import Path

from almanac.core.files import sha256_bytes, sha256_file
from orchestration.module_names import ModuleNames, Named, on_the_way

ROOT = Path(__file__).resolve().parents[1]

#: Built from files that count by themselves.
_BUILT = frozenset({".pyc", ".so", ".dylib"})
_MODULES = ModuleNames()


def code_digest(component: str, root: Path = ROOT, modules: ModuleNames | None = None) -> str:
    """Return a digest of the code, data and libraries that a component's result depends on.

    Imports are followed through the project's own modules, so that a change in one component leaves the cached results
    of the others valid. Registries of kinds import by name, so their folders are followed too: with everything that the
    kinds import by a component that reaches the room of the folder, and otherwise as the declarations of a use case
    file. Of a package with a module that is reached, files that are no Python count as well: C sources, templates.

    Args:
        component: its name.
        root: directory of the top packages.
        modules: what is known of the modules' names already.
    """
    known = modules or _MODULES
    start = root / "components" / component / "component.py"
    reached, declarations, groups = _reachable(start, root, known)
    known.save()
    packages = {path.parent for path, named in reached.items() if named.runs} - {root}
    data = {file for package in packages for file in _data(package)}
    locked = (root / "requirements").glob("components.txt")
    digests = {path: sha256_file(path) for path in {*declarations, *data, *locked} - reached.keys()}
    digests |= {path: named.sha256 for path, named in reached.items()}
    lines = [f"{path.relative_to(root)} {digests[path]}" for path in sorted(digests)]
    installed = entry_points()
    lines += [_extension(point) for group in sorted(groups) for point in sorted(installed.select(group=group))]
    return sha256_bytes("\n".join(lines).encode())


def _reachable(start: Path, root: Path, known: ModuleNames) -> tuple[dict[Path, Named], set[Path], set[str]]:
    """Return the modules that a module imports, the kinds that it only needs to read a use case file, and their groups.

    Groups are those of entry points by which other packages add kinds.
    """
    modules: dict[Path, Named] = {}
    ours = {entry.stem for entry in root.iterdir()}
    queue = [start] if start.exists() else []
    registries: set[tuple[str, str]] = set()
    pending: set[str] = set()
    # Most modules name the same others, whose files are looked for once.
    asked: set[str] = set()
    while queue:
        while queue:
            path = queue.pop()
            if path in modules:
                continue
            named = modules[path] = known.of(path, root)
            registries |= named.registries
            new = named.on_the_way - asked
            asked |= new
            queue += [file for name in new if name.partition(".")[0] in ours for file in _files_of(name, root)]
        pending = {folder for folder, _ in registries}
        # Kinds are used by the code of their own room; every other room only parses their declarations.
        names_of_modules = [str(path) for path in modules]
        rooms = {folder: f"{_room(folder, root)}/" for folder in pending}
        used = {folder for folder, room in rooms.items() if any(name.startswith(room) for name in names_of_modules)}
        queue = [file for folder in used for file in _members(folder, root) if file not in modules]
        pending -= used
    declarations = {file for folder in pending for file in _members(folder, root)}
    return modules, declarations, {group for _, group in registries if group}


def _room(folder: str, root: Path) -> Path:
    return root.joinpath(*folder.split(".")[:-1])


def _members(folder: str, root: Path) -> Iterator[Path]:
    for path in root.joinpath(*folder.split(".")).iterdir():
        if path.suffix == ".py" or (path / "__init__.py").is_file():
            for name in on_the_way(f"{folder}.{path.stem}"):
                yield from _files_of(name, root)


def _files_of(module: str, root: Path) -> Iterator[Path]:
    """Yield the files of a module of the project; a name may also be that of a member of one."""
    stem = f"{root}/{module.replace('.', '/')}"
    # Strings, because a digest asks for thousands of files that are not there.
    return (Path(name) for name in (f"{stem}/__init__.py", f"{stem}.py") if isfile(name))  # noqa: PTH113


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
