"""The tags of an image in a registry: `python -m orchestration.image_tags NAME`, as a workflow's output."""

import subprocess
import sys
from pathlib import Path

from almanac.core.image import VERSION
from almanac.core.revision import git_revision


def tags(root: Path) -> list[str]:
    """Return the tags of the images built from a checkout: its revision, and the version that compiled files name.

    A version that was released from another revision keeps its image: Kubeflow's cache knows an image by its name.
    """
    revision = git_revision(root)
    released = _git(root, "rev-parse", "--quiet", "--verify", f"refs/tags/v{VERSION}^{{commit}}")
    return [revision] if released not in ("", revision) else [revision, VERSION]


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    print(f"version={VERSION}")
    print(f"tags={','.join(f'{sys.argv[1]}:{tag}' for tag in tags(Path.cwd()))}")
