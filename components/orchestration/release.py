"""The notes of a release, from its commits: `python -m components.orchestration.release TAG OUT`."""

import subprocess
import sys
from pathlib import Path

from components.common.errors import AlmanacError, PipelineError
from components.common.files import write_text
from components.image import VERSION


def notes(tag: str, root: Path) -> str:
    """Return what changed since the tag before `tag`, the newest first.

    Raises:
        PipelineError: the tag is not that of the code's version, or does not exist.
    """
    if tag != f"v{VERSION}":
        raise PipelineError(f"tag {tag}: components/image.py says {VERSION}, so the tag should be v{VERSION}")
    before = _git(root, "tag", "--list", "v*", "--sort=-creatordate", "--no-contains", tag).split()
    since = [f"{before[0]}..{tag}"] if before else [tag]
    commits = _git(root, "log", "--no-merges", "--format=- %s (%h)", *since)
    return f"# {tag}\n\n{commits}"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PipelineError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    try:
        write_text(Path(sys.argv[2]), notes(sys.argv[1], Path.cwd()))
    except AlmanacError as error:
        raise SystemExit(f"error: {error}") from None
