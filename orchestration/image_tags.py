"""Tags of the images.

`python -m orchestration.image_tags NAME` needs no library, so that a workflow can call it before it installs any.
"""

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
    # A tag never moves to another revision.
    return [revision] if released not in ("", revision) else [revision, VERSION]


def outputs(name: str, root: Path) -> str:
    """Return version and tags of an image as the output of a workflow's step."""
    return f"version={VERSION}\ntags={','.join(f'{name}:{tag}' for tag in tags(root))}"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    print(outputs(sys.argv[1], Path.cwd()))
