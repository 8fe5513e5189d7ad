"""Versions and notes of releases.

The version follows from the commits since the last release, by their trailer `Change:`. `Change: breaking` raises the
first number that is not 0, `Change: feature` the number after it, and anything else the last: 0.1.0 becomes 0.2.0 by a
breaking change and 0.1.1 by any other; 1.4.2 becomes 2.0.0, 1.5.0 or 1.4.3.
"""

import importlib.util
import re
import subprocess
from collections.abc import Collection
from pathlib import Path

from almanac.core.errors import PipelineError
from almanac.core.files import write_text
from almanac.core.image import VERSION

#: Files that people edit and that hold the version; generated files follow from them.
_WRITTEN = {
    "almanac/core/image.py": 'VERSION = "{}"',
    "pyproject.toml": 'version = "{}"',
    "components/Dockerfile": "ARG VERSION={}",
    "serving/Dockerfile": "ARG VERSION={}",
    "operations/Dockerfile": "ARG VERSION={}",
    "deploy/room/kustomization.yaml": "    newTag: {}",
}
_CHANGES = ("breaking", "feature", "fix")


def next_version(root: Path) -> str:
    """Return the version of the next release; before the first release it is that of the code.

    Raises:
        PipelineError: nothing was committed since the last release, or a trailer is none of breaking, feature, fix.
    """
    # Sorted by version: a patch of an old release may be the newest tag.
    tags = _git(root, "tag", "--list", "v*", "--sort=-version:refname", "--merged").split()
    if not tags:
        return VERSION
    commits = _git(root, "log", "--format=%h %(trailers:key=Change,valueonly,separator=%x2C)", f"{tags[0]}..").split(
        "\n"
    )
    if not any(commits):
        raise PipelineError(f"nothing was committed since {tags[0]}; there is nothing to release")
    changes: dict[str, str] = {}
    for line in filter(None, commits):
        commit, _, values = line.partition(" ")
        changes |= {value.strip().lower(): commit for value in values.split(",") if value.strip()}
    for value in changes.keys() - set(_CHANGES):
        raise PipelineError(f"commit {changes[value]}: the trailer Change is {value!r}; expected one of {_CHANGES}")
    return _raised(tags[0].removeprefix("v"), changes.keys())


def _raised(version: str, changes: Collection[str]) -> str:
    numbers = [int(number) for number in version.split(".")]
    first = next((at for at, number in enumerate(numbers) if number), len(numbers) - 1)
    at = first if "breaking" in changes else first + 1 if "feature" in changes else len(numbers) - 1
    at = min(at, len(numbers) - 1)
    return ".".join(map(str, [*numbers[:at], numbers[at] + 1, *[0] * (len(numbers) - at - 1)]))


def set_version(root: Path, version: str) -> None:
    """Write the version to every file that people edit and that holds it.

    Raises:
        PipelineError: a file that does not hold the present version once.
    """
    for name, form in _WRITTEN.items():
        path = root / name
        text = path.read_text(encoding="utf-8")
        if len(re.findall(rf"^{re.escape(form.format(VERSION))}$", text, re.MULTILINE)) != 1:
            raise PipelineError(f"{name}: {form.format(VERSION)} expected once")
        write_text(path, text.replace(form.format(VERSION), form.format(version)))
        # Python compares source and bytecode by size and second, and both may be equal to those of the old version.
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


def notes(tag: str, root: Path) -> str:
    """Return the commits since the tag before `tag`, newest first.

    Raises:
        PipelineError: the tag is not that of the code's version, or does not exist.
    """
    if tag != f"v{VERSION}":
        raise PipelineError(f"tag {tag}: almanac/core/image.py says {VERSION}, so the tag should be v{VERSION}")
    before = _git(root, "tag", "--list", "v*", "--sort=-creatordate", "--no-contains", tag).split()
    since = [f"{before[0]}..{tag}"] if before else [tag]
    commits = _git(root, "log", "--no-merges", "--format=- %s (%h)", *since)
    return f"# {tag}\n\n{commits}"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PipelineError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
